"""Lists of jobs, newest first, in pages (API-10, API-70, CV-13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal_column
from sqlmodel import col, not_, or_, select, union_all
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import Select

from core.ids import first_id
from core.jobs.lifecycle import Status
from core.jobs.models import Job, Transition
from core.platforms.registry import PLATFORMS

_PLATFORMS: Final = tuple(str(spec.slug) for spec in PLATFORMS)


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
    columns: Sequence[str],
    limit: int,
    before_id: str | None = None,
) -> list[dict[str, Any]]:
    """Up to `limit` jobs of a team, those older than `before_id` where given.

    Ids are time-ordered, so the order by id is the order of creation.

    Args:
        columns: which attributes of `Job` to read, `id` among them. No object is made of a row:
            that takes longer than the query.
    """
    read: Select[Any] = Select(*(getattr(Job, name) for name in columns))
    of_team = read.where(
        col(Job.team_id) == team_id,
        col(Job.livemode) == livemode,
        *_conditions(wanted, before_id),
    )
    newest = [
        part.order_by(_ulid(Job.id).desc()).limit(limit) for part in _each_filtered(of_team, wanted)
    ]
    whole = newest[0]
    if len(newest) > 1:
        merged = union_all(*newest).subquery()
        each: Select[Any] = Select(*merged.c)
        whole = each.order_by(_ulid(merged.c.id).desc()).limit(limit)
    found = await session.exec(whole)
    return [dict(zip(columns, row, strict=True)) for row in found.all()]


def _ulid(job_id: Any) -> ColumnElement[str]:
    """The id without `job_`, which only the indexes of the lists are ordered by.

    For an order by the id itself the planner reads everybody's jobs by the primary key, newest
    first, and throws away those of other teams.
    """
    return func.substr(job_id, literal_column("5"))


def _conditions(wanted: JobFilter, before_id: str | None) -> list[ColumnElement[bool]]:
    """Ids are bounded by the times as well: an index over ids knows nothing of `created_at`."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.external_id is not None:
        conditions.append(col(Job.external_id) == wanted.external_id)
    if wanted.created_after is not None:
        conditions.append(col(Job.created_at) > wanted.created_after)
        conditions.append(_ulid(Job.id) >= first_id("job", wanted.created_after)[4:])
    if wanted.created_before is not None:
        conditions.append(col(Job.created_at) < wanted.created_before)
        following = wanted.created_before + timedelta(milliseconds=1)
        conditions.append(_ulid(Job.id) < first_id("job", following)[4:])
    if before_id is not None:
        conditions.append(_ulid(Job.id) < before_id[4:])
    return conditions


def _each_filtered(of_team: Select[Any], wanted: JobFilter) -> list[Select[Any]]:
    """One query for each status and platform: each reads its newest from an index, in order.

    With one query for all, a million jobs are read through for the few that have a rare status.
    """
    if wanted.external_id is not None or not (wanted.statuses or wanted.platforms):
        return [_matching(of_team, wanted)]
    return [
        of_team.where(col(Job.status) == status, col(Job.platform) == platform)
        for status in sorted(wanted.statuses or Status)
        for platform in sorted(wanted.platforms or _PLATFORMS)
    ]


def _matching(of_team: Select[Any], wanted: JobFilter) -> Select[Any]:
    if wanted.statuses:
        of_team = of_team.where(col(Job.status).in_(wanted.statuses))
    if wanted.platforms:
        of_team = of_team.where(col(Job.platform).in_(wanted.platforms))
    return of_team


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
