"""Who may start: what meetings cost, and what the workers and the teams have left (design.md D11).

Counted from our own rows, every time anew. A slot of a Prefect concurrency limit stays taken for
minutes when its holder is killed; a row counts while its lease is renewed, so that a killed
meeting is out of the sum ten seconds later, and nothing has to be given back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, func
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.dispatch import workers
from core.errors import RateLimited
from core.jobs.lifecycle import Status
from core.jobs.models import Job

# CPU-seconds a minute of one bot with three speakers, by what it records besides their audio:
# measured by `make bench`, rounded up.
COSTS: Final[Mapping[str, float]] = {
    "off": 12.0,
    "screenshare": 15.0,
    "participants": 16.0,
    "tab": 41.0,
}
# A simulated bot has no browser.
SIMULATED_COST: Final = 1.5
# Workers not heard of for longer are not counted on; a restart takes a minute or two.
COUNTED: Final = timedelta(minutes=5)
# Jobs due within this compete with one that wants to start now.
SOON: Final = timedelta(seconds=60)
RETRY_AFTER_SECONDS: Final = 30
LIVE: Final = (Status.JOINING, Status.ENTERING_LOBBY, Status.IN_MEETING, Status.RECORDING)


def cost_of(recording: Mapping[str, Any], driver: str = "") -> float:
    """What a bot with these recording options uses, in CPU-seconds a minute."""
    if driver == "simulated":
        return SIMULATED_COST
    return COSTS.get(str(recording.get("video")), max(COSTS.values()))


async def check_start(
    session: AsyncSession, job: Job, *, team_limit: int | None, now: datetime
) -> None:
    """Refuse a new job that is to start at once and could not within a minute.

    Where no worker has been heard of lately nothing is known, and nothing is refused.

    Raises:
        RateLimited: the workers, or the team's own limit, are full.
    """
    if job.join_at is not None and job.join_at > now + SOON:
        return
    rivals = await _rivals(session, job, now)
    if team_limit is not None:
        of_team = sum(count for team, _, _, count in rivals if team == job.team_id)
        if of_team >= team_limit:
            raise RateLimited(
                f"Your team has {of_team} meetings going on, as many as it may have at once. "
                "Try again when one of them has ended.",
                RETRY_AFTER_SECONDS,
            )
    known = await workers.seen_since(session, now - COUNTED)
    if not known or not rivals:
        return
    budget = sum(worker.cpu_budget for worker in known)
    used = sum(cost_of({"video": video}, driver) * count for _, video, driver, count in rivals)
    if used + cost_of(job.recording, job.driver) > budget:
        raise RateLimited(
            "All bots are busy, and this one could not start within a minute. Try again, or send "
            "the job ahead of time with joinAt.",
            RETRY_AFTER_SECONDS,
        )


async def _rivals(
    session: AsyncSession, job: Job, now: datetime
) -> Sequence[tuple[str, str, str, int]]:
    """Jobs that run or are about to: team, recorded video, driver, and how many."""
    video = col(Job.recording)["video"].astext
    running = and_(col(Job.status).in_(LIVE), col(Job.lease_until) > now)
    waiting = and_(
        col(Job.status) == Status.QUEUED,
        or_(col(Job.join_at).is_(None), col(Job.join_at) < now + SOON),
    )
    statement = (
        select(Job.team_id, video, Job.driver, func.count())
        .where(or_(running, waiting), col(Job.id) != job.id)
        .group_by(col(Job.team_id), video, col(Job.driver))
    )
    return [tuple(row) for row in (await session.exec(statement)).all()]


async def fitting(
    session: AsyncSession, live: Collection[str], wanted: Iterable[str], budget: float
) -> frozenset[str]:
    """Those of `wanted`, in their order, for which a worker with the jobs `live` has room.

    One that runs nothing takes the first in any case: a budget below the dearest meeting would
    otherwise keep that for ever.
    """
    order = list(wanted)
    rows = await session.exec(
        select(Job.id, Job.recording, Job.driver).where(col(Job.id).in_([*live, *order]))
    )
    costs = {job_id: cost_of(recording, driver) for job_id, recording, driver in rows.all()}
    used = sum(costs.get(job_id, 0.0) for job_id in live)
    admitted: list[str] = []
    for job_id in order:
        # A job that is not in the store costs nothing: its run ends at once.
        cost = costs.get(job_id, 0.0)
        if used + cost > budget and (live or admitted):
            break
        used += cost
        admitted.append(job_id)
    return frozenset(admitted)
