"""Lists of jobs, newest first, in pages (API-10, API-70, CV-13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import col, not_, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.jobs.lifecycle import Status
from core.jobs.models import Job, Transition


@dataclass(frozen=True)
class JobFilter:
    """Empty means any. Times are exclusive."""

    statuses: frozenset[Status] = frozenset()
    platforms: frozenset[str] = frozenset()
    external_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def list_jobs(
    session: AsyncSession,
    team_id: str,
    livemode: bool,
    wanted: JobFilter,
    *,
    limit: int,
    before_id: str | None = None,
) -> Sequence[Job]:
    """Up to `limit` jobs of a team, those older than `before_id` where given.

    Ids are time-ordered, so the order by id is the order of creation.
    """
    statement = select(Job).where(Job.team_id == team_id, Job.livemode == livemode)
    if wanted.statuses:
        statement = statement.where(col(Job.status).in_(wanted.statuses))
    if wanted.platforms:
        statement = statement.where(col(Job.platform).in_(wanted.platforms))
    if wanted.external_id is not None:
        statement = statement.where(Job.external_id == wanted.external_id)
    if wanted.created_after is not None:
        statement = statement.where(col(Job.created_at) > wanted.created_after)
    if wanted.created_before is not None:
        statement = statement.where(col(Job.created_at) < wanted.created_before)
    if before_id is not None:
        statement = statement.where(col(Job.id) < before_id)
    return (await session.exec(statement.order_by(col(Job.id).desc()).limit(limit))).all()


async def undispatched_jobs(
    session: AsyncSession, *, now: datetime, older_than: timedelta, limit: int
) -> Sequence[Job]:
    """Queued jobs that no flow run was made for; the row is the truth, the run is repaired (D2)."""
    statement = (
        select(Job)
        .where(
            Job.status == Status.QUEUED,
            col(Job.flow_run_id).is_(None),
            col(Job.fence) == 0,
            col(Job.created_at) < now - older_than,
        )
        .order_by(col(Job.id))
        .limit(limit)
    )
    return (await session.exec(statement)).all()


async def dispatched_jobs(
    session: AsyncSession,
    *,
    now: datetime,
    soon: timedelta,
    older_than: timedelta,
    page: int,
    limit: int,
) -> Sequence[Job]:
    """Queued jobs with a flow run that no process has begun.

    All of those due before `now + soon`, at most `limit`; and one page of the later ones,
    another for every `page`, so that each is seen in turn.
    """
    waiting = select(Job).where(
        Job.status == Status.QUEUED,
        col(Job.flow_run_id).is_not(None),
        col(Job.fence) == 0,
        # The run of a younger row is only just being made.
        col(Job.created_at) < now - older_than,
    )
    near = or_(col(Job.join_at).is_(None), col(Job.join_at) < now + soon)
    first = waiting.where(near).order_by(col(Job.join_at).nulls_first(), col(Job.id)).limit(limit)
    rest = waiting.where(not_(near))
    count = (await session.exec(select(func.count()).select_from(rest.subquery()))).one()
    offset = page % max(1, -(-count // limit)) * limit
    later = rest.order_by(col(Job.id)).offset(offset).limit(limit)
    return [*(await session.exec(first)).all(), *(await session.exec(later)).all()]


async def transitions(
    session: AsyncSession, job_id: str, *, after_seq: int = 0
) -> Sequence[Transition]:
    """A job's moves in their order, those after `after_seq`."""
    statement = (
        select(Transition)
        .where(Transition.job_id == job_id, col(Transition.seq) > after_seq)
        .order_by(col(Transition.seq))
    )
    return (await session.exec(statement)).all()
