"""Reading job rows: by id, for whom, and locked for a writer with its fencing number."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import NotFound, StaleAttempt
from core.ids import parse_id
from core.jobs.models import Job

ABSENT: Final = "There is no job {id}. Check the id, and that the key is of the right mode."


async def owned_job(session: AsyncSession, team_id: str, livemode: bool, text: str) -> Job:
    """A team's job by any accepted spelling of its id (CV-07).

    Raises:
        NotFound: unknown, another team's, or of the other mode (CV-11, CV-12).
    """
    job_id = parse_id("job", text)
    job = await session.get(Job, job_id) if job_id is not None else None
    if job is None or job.team_id != team_id or job.livemode != livemode:
        raise NotFound(ABSENT.format(id=text[:64]))
    return job


async def locked_job(session: AsyncSession, job_id: str, *, fence: int | None = None) -> Job:
    """The job's row, locked until the transaction ends.

    Args:
        fence: the writer's attempt number; None for writers that are no attempt (the API).

    Raises:
        NotFound: no such job.
        StaleAttempt: a newer attempt holds the job (design.md D10).
    """
    job = await session.get(Job, job_id, with_for_update=True, populate_existing=True)
    if job is None:
        raise NotFound(ABSENT.format(id=job_id))
    if fence is not None and fence != job.fence:
        raise StaleAttempt(f"Attempt {fence} of {job_id} is outdated: {job.fence} holds the job.")
    return job


def leased(job: Job, now: datetime) -> bool:
    """Whether a process is known to work on the job."""
    return job.lease_until is not None and job.lease_until > now
