"""Recordings: jobs with a manifest, newest first (API-18)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, literal_column
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import NotFound
from core.jobs.models import Job
from core.jobs.rows import owned_job


async def list_recordings(
    session: AsyncSession,
    team_id: str,
    livemode: bool,
    *,
    limit: int,
    before_id: str | None = None,
) -> Sequence[Job]:
    """Up to `limit` recordings of a team, those of jobs older than `before_id` where given."""
    # The id as the index has it; see `core.jobs.listing`.
    ulid = func.substr(Job.id, literal_column("5"))
    statement = select(Job).where(
        Job.team_id == team_id, Job.livemode == livemode, col(Job.manifest_uri).is_not(None)
    )
    if before_id is not None:
        statement = statement.where(ulid < before_id[4:])
    return (await session.exec(statement.order_by(ulid.desc()).limit(limit))).all()


async def owned_recording(session: AsyncSession, team_id: str, livemode: bool, text: str) -> Job:
    """The job of a team's recording, whose id is the job's (CV-08).

    Raises:
        NotFound: no such job of theirs, or it has no manifest: nothing recorded, or deleted.
    """
    job = await owned_job(session, team_id, livemode, text)
    if job.manifest_uri is None:
        raise NotFound(
            f"There is no recording of {job.id}: nothing was recorded, or not yet, or "
            "it was deleted."
        )
    return job
