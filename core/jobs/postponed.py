"""Recordings that storage did not take: who goes on with them, when, and until when (D9, MF-16).

The job stays `finalizing`. Its lease is held for the machine that has the files, until shortly
after the recording is given up, so that nobody takes the silence for a crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.columns import choice, timestamp
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import MOVES, Event
from core.jobs.models import Job
from core.jobs.rows import locked_job
from core.jobs.settlement import Settlement, settle
from core.jobs.transitions import move
from core.recordings.evidence import EvidenceFile, as_column
from core.texts import plain_text

# Attempts follow each other at twice the wait of the last one, up to this.
FIRST_WAIT: Final = timedelta(seconds=15)
LONGEST_WAIT: Final = timedelta(minutes=5)
# How much longer than the recording is kept its job is held; whoever gives it up comes by earlier.
HELD_AFTER: Final = timedelta(hours=1)


class PostponedUpload(SQLModel, table=True):
    """One recording that waits for its storage, and how its meeting ended."""

    __tablename__ = "postponed_uploads"

    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    machine: str = Field(index=True)
    since: datetime = Field(sa_column=timestamp())
    until: datetime = Field(sa_column=timestamp())
    next_attempt_at: datetime = Field(sa_column=timestamp())
    attempts: int = 0
    last_error: str = ""
    exit_reason: ExitReason = Field(sa_column=choice(ExitReason))
    failure_code: FailureCode | None = Field(
        default=None, sa_column=choice(FailureCode, nullable=True)
    )
    failure_detail: str | None = None
    adapter_error: str | None = None
    cancelled: bool = False


def holder_of(machine: str) -> str:
    """Who holds the lease of a job whose recording waits on `machine`."""
    return f"uploads@{machine}"


def waits_for_storage() -> ColumnElement[bool]:
    """Of jobs in a query, those with a postponed recording: no process has to live for them."""
    return select(PostponedUpload.job_id).where(col(PostponedUpload.job_id) == Job.id).exists()


async def postpone(
    session: AsyncSession,
    job_id: str,
    ending: Settlement,
    *,
    fence: int,
    machine: str,
    error: str,
    keep_seconds: float,
    now: datetime,
) -> PostponedUpload:
    """Leave a recording to later attempts. Again for the same job: the first moment counts.

    Args:
        ending: how the meeting ended, as far as the recording does not say it.
        keep_seconds: after so long the job fails; the files stay.

    Raises:
        StaleAttempt: a newer attempt holds the job.
    """
    job = await locked_job(session, job_id, fence=fence)
    if (job.status, Event.LEFT) in MOVES:
        # An attempt that was to go on with a dead one's meeting could not; there is no bot.
        await move(session, job, Event.LEFT, now=now)
    row = await session.get(PostponedUpload, job_id)
    if row is None:
        row = PostponedUpload(
            job_id=job_id,
            machine=machine,
            since=now,
            until=now + timedelta(seconds=keep_seconds),
            next_attempt_at=now + FIRST_WAIT,
            last_error=plain_text(error, 2000),
            exit_reason=ending.exit_reason,
            failure_code=ending.failure_code,
            failure_detail=ending.failure_detail,
            adapter_error=ending.adapter_error,
            cancelled=ending.cancelled,
        )
        session.add(row)
    _hold(job, row)
    return row


async def postpone_evidence(
    session: AsyncSession,
    job: Job,
    *,
    machine: str,
    error: str,
    keep_seconds: float,
    now: datetime,
) -> None:
    """Leave the evidence of a job that has just ended to later attempts; the job is over as it is.

    Args:
        job: ended in this transaction.
    """
    if await session.get(PostponedUpload, job.id) is None:
        session.add(
            PostponedUpload(
                job_id=job.id,
                machine=machine,
                since=now,
                until=now + timedelta(seconds=keep_seconds),
                next_attempt_at=now + FIRST_WAIT,
                last_error=plain_text(error, 2000),
                exit_reason=job.exit_reason or ExitReason.ERROR,
            )
        )


async def take(session: AsyncSession, job_id: str) -> tuple[Job, PostponedUpload] | None:
    """The job and its row for a new attempt with a number of its own; None when it was given up.

    A job that has ended is one whose last attempt died before it cleared up. The caller sees to it
    that a machine takes its recordings one after the other.
    """
    row = await session.get(PostponedUpload, job_id, populate_existing=True)
    job = await locked_job(session, job_id)
    if row is None:
        return None
    if not job.status.terminal:
        job.fence += 1
        _hold(job, row)
    return job, row


def _hold(job: Job, row: PostponedUpload) -> None:
    job.lease_holder = holder_of(row.machine)
    job.lease_until = row.until + HELD_AFTER


async def due_uploads(
    session: AsyncSession, machine: str, *, now: datetime, limit: int
) -> Sequence[str]:
    """The jobs whose next attempt is due on `machine`, the longest waiting first."""
    statement = (
        select(PostponedUpload.job_id)
        .where(col(PostponedUpload.machine) == machine, col(PostponedUpload.next_attempt_at) <= now)
        .order_by(col(PostponedUpload.since))
        .limit(limit)
    )
    return (await session.exec(statement)).all()


async def due_machines(session: AsyncSession, *, now: datetime) -> Sequence[str]:
    """The machines on which an attempt is due."""
    statement = (
        select(PostponedUpload.machine)
        .where(col(PostponedUpload.next_attempt_at) <= now)
        .distinct()
        .order_by(col(PostponedUpload.machine))
    )
    return (await session.exec(statement)).all()


async def refused_again(session: AsyncSession, job_id: str, error: str, *, now: datetime) -> None:
    """Storage still does not take it: wait longer before the next attempt."""
    row = await session.get(PostponedUpload, job_id, with_for_update=True)
    if row is None:
        return
    row.attempts += 1
    row.last_error = plain_text(error, 2000)
    wait = FIRST_WAIT * 2 ** min(row.attempts, 16)
    row.next_attempt_at = now + min(wait, LONGEST_WAIT)


async def forget(session: AsyncSession, job_id: str, evidence: Sequence[EvidenceFile] = ()) -> bool:
    """The recording is delivered, with `evidence`, and its files are gone.

    False when somebody else has ended the wait meanwhile: the job was erased, or given up.
    """
    job = await locked_job(session, job_id)
    row = await session.get(PostponedUpload, job_id)
    if row is None:
        return False
    job.evidence = as_column(evidence) or job.evidence
    await session.delete(row)
    return True


async def give_up(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[str]:
    """Fail the jobs whose recordings have waited long enough; the files are left where they are.

    Returns their ids.
    """
    statement = (
        select(PostponedUpload)
        .where(col(PostponedUpload.until) <= now)
        .order_by(col(PostponedUpload.until))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await session.exec(statement)).all()
    for row in rows:
        hours = (row.until - row.since).total_seconds() / 3600
        detail = (
            f"Storage did not take the recording for {hours:g} h; its last answer was: "
            f"{row.last_error} The recording is kept on the machine {row.machine}."
        )
        settlement = Settlement(
            exit_reason=row.exit_reason,
            failure_code=FailureCode.INTERNAL_ERROR,
            failure_detail=detail,
        )
        job = await locked_job(session, row.job_id)
        # Whoever still tries is outdated from now on.
        job.fence += 1
        await settle(session, row.job_id, settlement, now=now)
        await session.delete(row)
    return [row.job_id for row in rows]
