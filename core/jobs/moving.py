"""Jobs that have not begun go where their team records now (API-84)."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.storage.team import TeamStorage


async def follow(session: AsyncSession, storage: TeamStorage, *, now: datetime) -> int:
    """Let the team's queued jobs that no process ever took use `storage`; how many did.

    With the operator's storage chosen they go there; whether that is allowed was said before.
    """
    wanted = None if storage.managed else storage.id
    moved = await session.exec(
        update(Job)
        .where(
            col(Job.team_id) == storage.team_id,
            col(Job.status) == Status.QUEUED,
            col(Job.fence) == 0,
            col(Job.storage_id).is_distinct_from(wanted),
        )
        .values(storage_id=wanted, updated_at=now)
        .execution_options(synchronize_session=False)
    )
    return moved.rowcount
