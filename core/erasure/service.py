"""Erasing a job, step by step, so that a crash at any moment only delays it (API-20, MF-22).

The rows go in the transaction that takes the request: from then on nobody is shown anything. What
lies elsewhere follows: objects in storage, run data in Prefect, files on the machines. Each step
looks afterwards whether anything is left, and only then is it done; when all are, the receipt is
written, once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import rfc3339
from core.dispatch.base import RunData
from core.erasure.models import Erasure
from core.erasure.rows import erase_rows, rows_left
from core.errors import InvalidState
from core.jobs.models import Job
from core.jobs.postponed import PostponedUpload
from core.jobs.rows import locked_job
from core.storage.base import Erased
from core.texts import plain_text
from core.transcripts.models import TranscriptRequest

FIRST_WAIT: Final = timedelta(seconds=15)
LONGEST_WAIT: Final = timedelta(hours=1)
# What a process that has lost its claim may still be sending to storage.
WRITING: Final = timedelta(minutes=1)
KEPT: Final = (
    "the job's id, status, times, platform and options",
    "its transitions: states and times",
    "its usage, for the bill",
    "this receipt",
)


async def request_erasure(session: AsyncSession, job_id: str, *, by: str, now: datetime) -> Erasure:
    """Remove the job's rows and write down what else has to go; again: as it is.

    Args:
        by: who asks, as an id.

    Raises:
        InvalidState: the job is not over.
    """
    job = await locked_job(session, job_id)
    if not job.status.terminal:
        raise InvalidState(
            f"The job is {job.status}. Cancel it, or have its bot leave; delete it when it is over."
        )
    known = await session.get(Erasure, job_id, populate_existing=True)
    if known is not None:
        return known
    waiting = await session.get(PostponedUpload, job_id)
    # Whoever makes a transcript now may still write what is on its way: the last look is after it.
    busy = select(func.max(TranscriptRequest.claimed_until)).where(
        col(TranscriptRequest.job_id) == job_id
    )
    busy_until = (await session.exec(busy)).one()
    row = Erasure(
        job_id=job.id,
        team_id=job.team_id,
        livemode=job.livemode,
        requested_at=now,
        requested_by=by,
        flow_run_id=job.flow_run_id,
        # Null until the machine that has files of it has looked.
        machines={waiting.machine: None} if waiting is not None else {},
        rows=await erase_rows(session, job),
        next_attempt_at=max(now, busy_until + WRITING) if busy_until is not None else now,
    )
    session.add(row)
    await session.flush()
    return row


async def objects_gone(session: AsyncSession, job_id: str, gone: Erased, *, now: datetime) -> None:
    """Nothing is left below the job's prefix."""
    row = await session.get_one(Erasure, job_id, with_for_update=True, populate_existing=True)
    row.objects = _summed(row.objects, gone.counts()) | {"left": 0, "verifiedAt": rfc3339(now)}


async def runs_gone(session: AsyncSession, job_id: str, gone: RunData, *, now: datetime) -> None:
    """Prefect knows no run of the job any more."""
    row = await session.get_one(Erasure, job_id, with_for_update=True, populate_existing=True)
    row.runs = _summed(row.runs, gone.counts()) | {"left": 0, "verifiedAt": rfc3339(now)}


async def machine_looked(
    session: AsyncSession, machine: str, removed: dict[str, int], *, now: datetime
) -> None:
    """A machine has removed its files of erased jobs: all that are open now, and those named.

    Args:
        removed: by job, how many files there were.
    """
    open_ones = select(Erasure).where(
        or_(col(Erasure.completed_at).is_(None), col(Erasure.job_id).in_(list(removed)))
    )
    for row in (
        await session.exec(open_ones.order_by(col(Erasure.job_id)).with_for_update())
    ).all():
        before = (row.machines.get(machine) or {}).get("files", 0)
        found = {"files": before + removed.get(row.job_id, 0), "verifiedAt": rfc3339(now)}
        row.machines = {**row.machines, machine: found}


async def erased_among(session: AsyncSession, job_ids: Collection[str]) -> Sequence[str]:
    """Those of `job_ids` whose content is to go, or has gone."""
    statement = select(Erasure.job_id).where(col(Erasure.job_id).in_(job_ids))
    return (await session.exec(statement)).all()


async def due_erasures(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[Erasure]:
    """Those with something left to do, the longest waiting first."""
    statement = (
        select(Erasure)
        .where(col(Erasure.completed_at).is_(None), col(Erasure.next_attempt_at) <= now)
        .order_by(col(Erasure.next_attempt_at))
        .limit(limit)
    )
    return (await session.exec(statement)).all()


async def later(session: AsyncSession, job_id: str, why: str, *, now: datetime) -> None:
    """A step could not be done; it is tried again, after a longer wait each time."""
    row = await session.get_one(Erasure, job_id, with_for_update=True, populate_existing=True)
    row.attempts += 1
    row.last_error = plain_text(why, 2000)
    row.next_attempt_at = now + min(FIRST_WAIT * 2 ** min(row.attempts - 1, 16), LONGEST_WAIT)


async def finish(
    session: AsyncSession, job_id: str, machines: Collection[str], *, now: datetime
) -> Erasure:
    """Write the receipt, if everything is gone; again: as it is.

    Args:
        machines: those that have to have looked, besides the ones that are known to have files.

    Raises:
        InvalidState: something is left to do; the message says what.
    """
    row = await session.get_one(Erasure, job_id, with_for_update=True, populate_existing=True)
    if row.completed_at is not None:
        return row
    missing = {name for name in machines if name not in row.machines}
    missing |= {name for name, looked in row.machines.items() if looked is None}
    left = await rows_left(session, job_id)
    if row.objects is None or row.runs is None or missing or left:
        waits = [
            *(["objects"] if row.objects is None else []),
            *(["Prefect"] if row.runs is None else []),
            *(["rows"] if left else []),
            *sorted(missing),
        ]
        raise InvalidState(f"{job_id} is not erased yet: {', '.join(waits)}.")
    row.completed_at = now
    row.last_error = None
    row.receipt = json.dumps(_receipt(row), separators=(",", ":"))
    return row


def digest(receipt: str) -> str:
    """SHA-256 of a receipt's exact text, in hex."""
    return hashlib.sha256(receipt.encode()).hexdigest()


def _receipt(row: Erasure) -> dict[str, Any]:
    done = row.completed_at or row.requested_at
    return {
        "jobId": row.job_id,
        "teamId": row.team_id,
        "livemode": row.livemode,
        "status": "completed",
        "requestedAt": rfc3339(row.requested_at),
        "requestedBy": row.requested_by,
        "completedAt": rfc3339(done),
        "erased": {
            "rows": {"removed": row.rows, "left": 0, "verifiedAt": rfc3339(done)},
            "objects": row.objects,
            "prefect": row.runs,
            "machines": row.machines,
        },
        "kept": list(KEPT),
    }


def _summed(before: dict[str, Any] | None, now: dict[str, int | None]) -> dict[str, Any]:
    """A step that a crash cut off is done again and finds only the rest."""
    return {
        name: count if count is None else count + ((before or {}).get(name) or 0)
        for name, count in now.items()
    }


async def team_jobs(session: AsyncSession, team_id: str, *, limit: int) -> Sequence[Job]:
    """Jobs of a team that nobody has asked to erase, those that are over first."""
    known = select(Erasure.job_id).where(col(Erasure.job_id) == col(Job.id)).exists()
    ended = col(Job.ended_at).is_(None)
    statement = (
        select(Job).where(Job.team_id == team_id, ~known).order_by(ended, col(Job.id)).limit(limit)
    )
    return (await session.exec(statement)).all()
