"""How a deployment is doing, in numbers, for those who operate it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.dispatch import workers
from core.dispatch.admission import LIVE, cost_of
from core.ids import first_id
from core.jobs.lifecycle import TERMINAL, Event, Status
from core.jobs.models import Job, Transition
from core.jobs.postponed import PostponedUpload
from core.webhooks.models import Delivery, DeliveryStatus

# How far back the times of joins are looked at.
RECENT: Final = timedelta(minutes=30)
# More than anybody has running; a look at the numbers must never read a whole table.
MOST_JOBS: Final = 100_000


@dataclass(frozen=True)
class Overview:
    """Ages and waits in seconds; 0 when nothing waits."""

    # Of jobs that are not over, by status and platform.
    jobs: Mapping[tuple[str, str], int]
    # How long the longest waiting job should have been started by now.
    start_lag: float
    # From due to inside the room, of the jobs made lately.
    join_seconds: tuple[float, ...]
    webhooks_waiting: int
    webhooks_overdue: float
    uploads_postponed: int
    uploads_age: float
    # The budgets of workers heard of lately, and what all meetings use, in CPU-seconds a minute.
    budgets: Mapping[str, float]
    used: float


async def overview(session: AsyncSession, *, now: datetime) -> Overview:
    """The numbers of now, each from an index."""
    jobs = await _jobs(session)
    waiting, due = await _webhooks(session)
    postponed, since = await _postponed(session)
    seen = await workers.seen_since(session, now - workers.PRESENT)
    return Overview(
        jobs=jobs,
        start_lag=await _start_lag(session, now),
        join_seconds=await _joins(session, now),
        webhooks_waiting=waiting,
        webhooks_overdue=_age(due, now),
        uploads_postponed=postponed,
        uploads_age=_age(since, now),
        budgets={worker.name: worker.cpu_budget for worker in seen},
        used=await _used(session),
    )


async def _jobs(session: AsyncSession) -> dict[tuple[str, str], int]:
    open_ones = [status for status in Status if status not in TERMINAL]
    found = await session.exec(
        select(Job.status, Job.platform, func.count())
        .where(col(Job.status).in_(open_ones))
        .group_by(col(Job.status), col(Job.platform))
    )
    return {(str(status), platform): count for status, platform, count in found.all()}


async def _start_lag(session: AsyncSession, now: datetime) -> float:
    due = func.coalesce(col(Job.join_at), col(Job.created_at))
    oldest = select(func.min(due)).where(
        Job.status == Status.QUEUED, col(Job.fence) == 0, due < now
    )
    return _age((await session.exec(oldest)).one(), now)


async def _joins(session: AsyncSession, now: datetime) -> tuple[float, ...]:
    due = func.greatest(func.coalesce(col(Job.join_at), col(Job.created_at)), col(Job.created_at))
    found = await session.exec(
        select(func.extract("epoch", func.min(Transition.at) - func.min(due)))
        .join(Job, col(Job.id) == col(Transition.job_id))
        .where(col(Job.id) >= first_id("job", now - RECENT), Transition.event == Event.ADMITTED)
        .group_by(col(Job.id))
        .limit(MOST_JOBS)
    )
    return tuple(sorted(float(seconds) for seconds in found.all()))


async def _webhooks(session: AsyncSession) -> tuple[int, datetime | None]:
    found = await session.exec(
        select(func.count(), func.min(Delivery.next_attempt_at)).where(
            Delivery.status == DeliveryStatus.PENDING
        )
    )
    count, due = found.one()
    return count, due


async def _postponed(session: AsyncSession) -> tuple[int, datetime | None]:
    found = await session.exec(select(func.count(), func.min(PostponedUpload.since)))
    count, since = found.one()
    return count, since


async def _used(session: AsyncSession) -> float:
    video = func.jsonb_extract_path_text(col(Job.recording), "video")
    found = await session.exec(
        select(video, Job.driver, func.count())
        .where(col(Job.status).in_(LIVE))
        .group_by(video, col(Job.driver))
    )
    return sum(cost_of({"video": kind}, driver) * count for kind, driver, count in found.all())


def _age(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment is not None else 0.0
