"""Leases: who works on a job, in numbered attempts (design.md D10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, not_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import LEASES_CHANNEL, notify
from core.errors import InvalidState, JobHeld
from core.jobs.lifecycle import TERMINAL, Status
from core.jobs.models import Job
from core.jobs.postponed import waits_for_storage
from core.jobs.rows import leased, locked_job


@dataclass(frozen=True)
class Lease:
    """A job that attempts have been made at and that is not over. `until` is None once let go."""

    job_id: str
    status: Status
    fence: int
    holder: str | None
    until: datetime | None
    flow_run_id: str | None
    cancel_requested: bool


async def leases_of_live_jobs(session: AsyncSession, *, limit: int) -> Sequence[Lease]:
    """Those of all jobs that an attempt has begun and that have not ended, oldest job first.

    Not those whose recordings wait for their storage: no process is owed to them (`postponed`).
    """
    statement = (
        select(Job)
        .where(col(Job.status).not_in(TERMINAL), col(Job.fence) > 0, not_(waits_for_storage()))
        .order_by(col(Job.id))
        .limit(limit)
    )
    return [
        Lease(
            job_id=job.id,
            status=job.status,
            fence=job.fence,
            holder=job.lease_holder,
            until=job.lease_until,
            flow_run_id=job.flow_run_id,
            cancel_requested=job.cancel_requested_at is not None,
        )
        for job in (await session.exec(statement)).all()
    ]


async def acquire_lease(
    session: AsyncSession, job_id: str, holder: str, *, seconds: float, now: datetime
) -> int:
    """Take the job for a new attempt and return its fencing number.

    `holder` names the process that runs it: the same one may start again at once (a step of its
    own was repeated), any other has to wait until the lease has run out or was let go.

    Raises:
        NotFound: no such job.
        InvalidState: the job is over, or somebody else holds it.
    """
    job = await locked_job(session, job_id)
    if job.status.terminal:
        raise InvalidState(f"Job {job_id} is {job.status}; there is nothing left to run.")
    if leased(job, now) and job.lease_holder != holder:
        raise JobHeld(f"Job {job_id} is held by {job.lease_holder} until {job.lease_until}.")
    job.fence += 1
    job.lease_holder = holder
    job.lease_until = now + timedelta(seconds=seconds)
    job.updated_at = now
    return job.fence


async def renew_lease(
    session: AsyncSession, job_id: str, fence: int, *, seconds: float, now: datetime
) -> None:
    """Hold on to the job; a late renewal with the current number succeeds.

    Raises:
        StaleAttempt: a newer attempt took the job.
    """
    job = await locked_job(session, job_id, fence=fence)
    # Never shorter: a job that waits for its storage is held much longer (`postponed`).
    job.lease_until = max(job.lease_until or now, now + timedelta(seconds=seconds))


async def expire_lease(session: AsyncSession, job_id: str, holder: str) -> None:
    """A process is known to be dead: end what it holds, and wake who watches leases.

    A job that somebody else holds stays as it is.

    Raises:
        NotFound: no such job.
    """
    job = await locked_job(session, job_id)
    if job.lease_holder == holder:
        job.lease_until = None
    await notify(session, LEASES_CHANNEL, job_id)


async def end_lease(session: AsyncSession, lease: Lease) -> bool:
    """End a lease that was not renewed in time, so that the next attempt need not wait.

    False when it has changed since it was read: somebody is alive.

    Raises:
        NotFound: no such job.
    """
    job = await locked_job(session, lease.job_id)
    if job.status.terminal or (job.fence, job.lease_until) != (lease.fence, lease.until):
        return False
    job.lease_until = None
    return True


async def release_lease(session: AsyncSession, job_id: str, fence: int) -> None:
    """Let go before the time is up, so that the next attempt need not wait.

    Raises:
        StaleAttempt: a newer attempt took the job.
    """
    job = await locked_job(session, job_id, fence=fence)
    _release(job)


def _release(job: Job) -> None:
    job.lease_until = None
    job.lease_holder = None
