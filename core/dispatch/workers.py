"""The workers that there are: what each can take on, and when it was last heard of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.columns import timestamp

# A worker that was heard of within this is at work.
PRESENT: Final = timedelta(seconds=60)


class WorkerSeen(SQLModel, table=True):
    """One machine with a worker. `cpu_budget`: CPU-seconds a minute that its meetings may use."""

    __tablename__ = "workers"

    name: str = Field(primary_key=True)
    cpu_budget: float
    seen_at: datetime = Field(sa_column=timestamp())


async def report(session: AsyncSession, name: str, cpu_budget: float, *, now: datetime) -> None:
    """Say that a worker takes runs, or with a budget of 0 that it takes no more."""
    values = {"cpu_budget": cpu_budget, "seen_at": now}
    row = insert(WorkerSeen).values(name=name, **values)
    # Two processes of one name may come at the same moment.
    await session.exec(row.on_conflict_do_update(index_elements=["name"], set_=values))


async def seen_since(session: AsyncSession, moment: datetime) -> Sequence[WorkerSeen]:
    """The workers heard of after `moment`."""
    statement = select(WorkerSeen).where(col(WorkerSeen.seen_at) > moment)
    return (await session.exec(statement)).all()
