"""Leases: who works on a job, in numbered attempts (design.md D10)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import InvalidState, JobHeld
from core.jobs.models import Job
from core.jobs.rows import leased, locked_job


async def acquire_lease(
    session: AsyncSession, job_id: str, holder: str, *, seconds: float, now: datetime
) -> int:
    """Take the job for a new attempt and return its fencing number.

    `holder` names who runs it, a flow run's id: the same one may start again at once (its process
    died), any other has to wait until the lease has run out.

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
