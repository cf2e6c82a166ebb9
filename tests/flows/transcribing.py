"""A team whose recordings are transcribed, in its own bucket and by its own provider."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr
from sqlmodel import col, select

from core.billing.models import UsageEvent, UsageKind
from core.database import Database
from core.errors import TranscriptionError
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.spec import TranscriptionOptions
from core.recordings.journal import JOURNAL_NAME
from core.recordings.manifest import MANIFEST_NAME, Manifest
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.local import LocalStorage
from core.storage.s3 import S3Storage
from core.storage.team import Keys, TeamStorage, place
from core.transcripts import requests
from core.transcripts.models import ProviderKey, TranscriptRequest
from core.transcripts.settings import ProviderAccess
from flows import delivery
from flows.resources import Resources
from flows.run import MeetingRun
from tests.bot.recording.writing import JOB
from tests.support.api_server import running_api
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.providers import KEY, Provider, providers_app
from tests.support.s3_server import S3Server
from transcription.engine import Engine, Heard, Samples, Word
from transcription.engines.choosing import create_engine

# So that it is billed (BL-07).
SECONDS = 64
BYOK = TranscriptionOptions(mode="byok", provider="deepgram")
ADDON = TranscriptionOptions(mode="addon")


class OwnEngine(Engine):
    """The add-on without its model."""

    provider = "whisper"
    model = "tiny"

    def _words(self, samples: Samples, language: str | None) -> Heard:
        return Heard("en", (Word(0.0, 0.5, " Ours."),))


class NoPost:
    async def deliver_job(self, job_id: str) -> None:
        """Webhooks stay in their rows here."""


@dataclass
class Runs:
    """What Prefect would be asked for."""

    started: list[tuple[str, dict[str, str], str]] = field(default_factory=list)

    async def start(
        self, deployment: str, parameters: dict[str, str], *, queue: str, key: str, job_id: str
    ) -> str:
        self.started.append((deployment, parameters, key))
        return key


@dataclass
class Team:
    """A team with a bucket and a provider, and a machine that records for it."""

    book: JobBook
    resources: Resources
    storage_id: str
    bucket: S3Storage
    provider: Provider
    exits: AsyncExitStack
    # What a process left of a meeting of `SECONDS`, of the job `JOB`.
    written: Path

    async def recorded(self, options: TranscriptionOptions) -> Job:
        """A job that is over, as a meeting's process ends it."""
        job = await self.book.add(storage_id=self.storage_id, transcription=options)
        await self.book.bring_to(job, Status.FINALIZING)
        work_dir = self.resources.settings.work_dir / job.id
        await asyncio.to_thread(shutil.copytree, self.written, work_dir)
        journal = work_dir / "1" / JOURNAL_NAME
        journal.write_text(journal.read_text().replace(JOB, job.id))
        self.book.clock.advance(60)
        run = MeetingRun(self.resources, job.id, "process-1")
        await self.exits.enter_async_context(run)
        for stage in ("dispatch", "join", "capture", "finalize", "upload"):
            await getattr(run, stage)()
        with contextlib.suppress(TranscriptionError):
            await run.transcribe()
        await run.meter()
        return await self.book.read(job)

    async def manifest(self, job: Job) -> Manifest:
        key = f"recordings/{job.id}/{MANIFEST_NAME}"
        return Manifest.model_validate_json(await asyncio.to_thread(self.bucket.get_bytes, key))

    async def charged(self, job: Job) -> list[int]:
        """The revisions for which the add-on was charged."""
        statement = (
            select(UsageEvent.revision)
            .where(UsageEvent.job_id == job.id, col(UsageEvent.kind) == UsageKind.TRANSCRIPTION)
            .order_by(col(UsageEvent.revision))
        )
        async with self.book.database.begin() as session:
            return list((await session.exec(statement)).all())

    async def ask(self, job: Job, options: TranscriptionOptions) -> str:
        async with self.book.database.begin() as session:
            return (await requests.request_transcript(session, job, options, now=self.book.now)).id

    async def request(self, request_id: str) -> TranscriptRequest:
        async with self.book.database.begin() as session:
            return await session.get_one(TranscriptRequest, request_id)

    async def pending(self, job: Job) -> TranscriptRequest:
        async with self.book.database.begin() as session:
            found = await requests.pending_request(session, job.id)
        assert found is not None
        return found

    async def wear_out(self, request_id: str) -> None:
        """Every attempt dies without a word."""
        for _ in range(requests.MOST_ATTEMPTS):
            async with self.book.database.begin() as session:
                assert await requests.take(session, request_id, now=self.book.now)
            self.book.clock.advance(requests.LONGEST_WAIT.total_seconds())

    async def due(self, at_once: int = 9) -> Sequence[str]:
        async with self.book.database.begin() as session:
            due = await requests.due_requests(session, now=self.book.now, at_once=at_once)
            return [row.id for row in due]


@asynccontextmanager
async def recording_team(
    tmp_path: Path,
    database: Database,
    box: SecretBox,
    clock: ManualClock,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    written: Path,
) -> AsyncIterator[Team]:
    """The team, with everything that its transcripts go through."""

    def engine(access: ProviderAccess | None, settings: Settings) -> Engine:
        return OwnEngine() if access is None else create_engine(access, settings)

    monkeypatch.setattr(delivery, "create_engine", engine)
    monkeypatch.setattr("os.nice", lambda _: 0)
    book = await JobBook.open(database, box, clock)
    made = s3_server.bucket(f"team-{book.team_id[-8:].lower()}", prefix="acme")
    provider = Provider()
    async with running_api(providers_app(provider)) as origin, AsyncExitStack() as exits:
        async with database.begin() as session:
            keys = Keys(access_key_id="test", secret_access_key=SecretStr("test"))
            wanted = TeamStorage(
                id="",
                team_id=book.team_id,
                endpoint=s3_server.endpoint,
                bucket=made.name,
                prefix="acme",
                credentials=keys.sealed(box),
                force_path_style=True,
                created_at=book.now,
                updated_at=book.now,
                selected_at=book.now,
            )
            row = await place(session, wanted)
            session.add(
                ProviderKey(
                    team_id=book.team_id,
                    provider="deepgram",
                    api_key=box.seal(SecretStr(KEY)),
                    base_url=origin,
                    updated_at=book.now,
                )
            )
        resources = Resources(
            settings=Settings(data_dir=tmp_path, trusted_origins=(s3_server.endpoint, origin)),
            clock=clock,
            database=database,
            box=box,
            storage=LocalStorage(
                tmp_path / "operators", files_url="http://f", link_secret=SecretStr("s")
            ),
            courier=cast("Any", NoPost()),
        )
        yield Team(book, resources, row.id, S3Storage(made), provider, exits, written)
