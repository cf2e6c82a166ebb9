"""The events of one job, as its watchers get them: by SSE and by socket (API-16, API-17)."""

from __future__ import annotations

import asyncio
import heapq
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self

from api.schemas.jobs import StatusEvent
from api.services import Services
from core.clock import rfc3339
from core.jobs import service
from core.jobs.listing import transitions
from core.jobs.live_models import JobNotice
from core.jobs.models import Job, Transition
from core.jobs.notices import notices

# Notifications can be lost with a connection, so the tables are looked at anyway.
LOOK_SECONDS: Final = 5
# A stream ends then; clients come back by themselves, with the last id they saw.
LIFETIME_SECONDS: Final = 3600
_CURSOR: Final = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


@dataclass(frozen=True)
class Cursor:
    """How far a watcher has seen: the last move, and the last notice."""

    move: int = 0
    notice: int = 0

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """From an event's id; from the beginning when it is none of ours."""
        match = _CURSOR.fullmatch(text or "")
        return cls(int(match[1]), int(match[2] or 0)) if match else cls()

    def __str__(self) -> str:
        return f"{self.move}-{self.notice}"


@dataclass(frozen=True)
class LiveEvent:
    """One event; `id` is None for those that cannot be had again."""

    name: str
    data: dict[str, Any]
    id: str | None = None


async def live_events(
    services: Services, job_id: str, seen: Cursor
) -> AsyncIterator[LiveEvent | None]:
    """What happened after `seen`, then what happens, until the job is over; None when all is quiet.

    Events that were kept come in the order in which they happened, the terminal status last.
    """
    deadline = services.clock.monotonic() + LIFETIME_SECONDS
    last_progress: dict[str, Any] | None = None
    with services.feed.watch(job_id) as changed:
        while services.clock.monotonic() < deadline:
            changed.clear()
            job, moves, told = await _look(services, job_id, seen)
            for one in _in_order(moves, told):
                seen = _after(seen, one)
                yield _event(one, seen)
            if job.progress is not None and job.progress != last_progress:
                last_progress = job.progress
                yield LiveEvent("progress", {"jobId": job_id, **job.progress})
            if job.status.terminal:
                return
            try:
                await asyncio.wait_for(changed.wait(), LOOK_SECONDS)
            except TimeoutError:
                yield None


async def _look(
    services: Services, job_id: str, seen: Cursor
) -> tuple[Job, Sequence[Transition], Sequence[JobNotice]]:
    async with services.database.begin() as session:
        # The job first: what is told of its end is then there as well.
        job = await service.find_job(session, job_id)
        moves = await transitions(session, job_id, after_seq=seen.move)
        return job, moves, await notices(session, job_id, after_seq=seen.notice)


def _in_order(
    moves: Sequence[Transition], told: Sequence[JobNotice]
) -> Iterable[Transition | JobNotice]:
    return heapq.merge(moves, told, key=_when)


def _when(one: Transition | JobNotice) -> tuple[bool, datetime]:
    return isinstance(one, Transition) and one.status.terminal, one.at


def _after(seen: Cursor, one: Transition | JobNotice) -> Cursor:
    if isinstance(one, Transition):
        return replace(seen, move=one.seq or seen.move)
    return replace(seen, notice=one.seq or seen.notice)


def _event(one: Transition | JobNotice, seen: Cursor) -> LiveEvent:
    if isinstance(one, JobNotice):
        data = {"jobId": one.job_id, **one.data, "at": rfc3339(one.at)}
        return LiveEvent(one.kind.value, data, str(seen))
    event = StatusEvent(
        job_id=one.job_id,
        previous_status=one.previous_status,
        status=one.status,
        recording_state=one.recording_state,
        at=one.at,
    )
    return LiveEvent("status", event.model_dump(mode="json", by_alias=True), str(seen))
