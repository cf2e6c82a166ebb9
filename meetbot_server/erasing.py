"""Erasing from the operator's side: a job, or all that there is of a team (MF-22)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import col, func, select

from core.clock import Clock
from core.database import Database
from core.erasure.eraser import Eraser
from core.erasure.models import Erasure
from core.erasure.service import request_erasure, team_jobs
from core.erasure.teams import close_team, forget_secrets
from core.errors import BadInput, NotFound, StorageError
from core.ids import parse_id
from core.jobs.models import Job
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.base import Storage
from core.storage.factory import create_storage
from core.storage.opening import Storages

OPERATOR: Final = "operator"
BATCH: Final = 200


@dataclass
class TeamErased:
    """How far it is. `live` jobs go on and are not erased; `refused` ones wait for their bucket."""

    closed: dict[str, int]
    jobs: int = 0
    completed: int = 0
    live: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return not self.live and self.completed == self.jobs


@dataclass(frozen=True)
class _Tools:
    database: Database
    box: SecretBox
    eraser: Eraser
    clock: Clock


async def erase_job(settings: Settings, clock: Clock, text: str) -> Erasure:
    """Erase one job, or say how far that is; its bucket is empty when this returns.

    Raises:
        NotFound: no such job.
        InvalidState: it is not over.
        StorageError: the bucket is away; it is tried again by itself.
    """
    async with _tools(settings, clock) as tools:
        job_id = parse_id("job", text)
        async with tools.database.begin() as session:
            if job_id is None or await session.get(Job, job_id) is None:
                raise NotFound(f"There is no job {text}.")
            row = await request_erasure(session, job_id, by=OPERATOR, now=clock.now())
        if row.objects is None:
            await tools.eraser.objects(row.job_id)
        async with tools.database.begin() as session:
            return await session.get_one(Erasure, row.job_id)


async def erase_team(settings: Settings, clock: Clock, text: str) -> TeamErased:
    """Erase all jobs of a team that are over, and close it. Again: goes on where it was.

    Raises:
        NotFound: no such team.
    """
    team_id = parse_id("team", text)
    if team_id is None:
        raise NotFound(f"There is no team {text}.")
    async with _tools(settings, clock) as tools:
        async with tools.database.begin() as session:
            closed = await close_team(session, team_id, now=clock.now())
        found = TeamErased(closed)
        while jobs := await _next(tools, team_id):
            over = [job for job in jobs if job.status.terminal]
            for job in over:
                await _erase(tools, job, found)
            if len(over) < len(jobs):
                # Those that are over come first.
                found.live = [job.id for job in jobs if not job.status.terminal]
                break
        async with tools.database.begin() as session:
            own = select(func.count(), func.count(col(Erasure.completed_at)))
            counted = await session.exec(own.where(Erasure.team_id == team_id))
            found.jobs, found.completed = counted.one()
            if found.done:
                await forget_secrets(session, tools.box, team_id)
        return found


async def _next(tools: _Tools, team_id: str) -> Sequence[Job]:
    async with tools.database.begin() as session:
        return await team_jobs(session, team_id, limit=BATCH)


async def _erase(tools: _Tools, job: Job, found: TeamErased) -> None:
    async with tools.database.begin() as session:
        await request_erasure(session, job.id, by=OPERATOR, now=tools.clock.now())
    try:
        await tools.eraser.objects(job.id)
    except StorageError:
        found.refused.append(job.id)


@asynccontextmanager
async def _tools(settings: Settings, clock: Clock) -> AsyncIterator[_Tools]:
    if settings.database_url is None:
        raise BadInput("MEETBOT_DATABASE_URL is not set; start the stack with `make up` first.")
    box = SecretBox(settings.encryption_keys)
    database = Database(settings.database_url)
    storages = Storages(create_storage(settings), database, box, settings.trusted_origins)

    async def storage_of(job: Job) -> Storage:
        return await storages.open(job.storage_id)

    try:
        yield _Tools(database, box, Eraser(database, storage_of, clock), clock)
    finally:
        await database.close()
