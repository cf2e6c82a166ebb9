"""How often somebody may do something, counted for all API processes together (API-85)."""

from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from sqlalchemy import case, delete, extract
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.columns import timestamp
from core.errors import RateLimited

MINUTE: Final = timedelta(minutes=1)
ROUNDING: Final = 0.001


class RateWindow(SQLModel, table=True):
    """What one subject did in its current window and in the one before.

    A window begins with its first request, so whoever was quiet gets the whole limit, and not one
    more, within a minute. The table is not logged: after a crash of the database it is empty, and
    writing to it costs no flush.
    """

    __tablename__ = "rate_windows"
    __table_args__ = {"prefixes": ["UNLOGGED"]}

    subject: str = Field(primary_key=True)
    started_at: datetime = Field(sa_column=timestamp(index=True))
    count: int
    previous: int


async def take(
    session: AsyncSession,
    subject: str,
    limit: int,
    *,
    now: datetime,
    period: timedelta = MINUTE,
) -> None:
    """Count one request of `subject`; refused ones do not count.

    What was done in the window before fades away linearly.

    Raises:
        RateLimited: there were `limit` within `period`; it says when to come back.
    """
    row = RateWindow
    same = col(row.started_at) > now - period
    next_one = col(row.started_at) > now - 2 * period
    started: Any = case(
        (same, col(row.started_at)), (next_one, col(row.started_at) + period), else_=now
    )
    count: Any = case((same, col(row.count)), else_=0)
    previous: Any = case((same, col(row.previous)), (next_one, col(row.count)), else_=0)
    statement = (
        insert(row)
        .values(subject=subject, started_at=now, count=1, previous=0)
        .on_conflict_do_update(
            index_elements=["subject"],
            set_={"started_at": started, "count": count + 1, "previous": previous},
            # Whoever comes at the very moment that they were told is let in.
            where=count + previous * _left(now, started, period) + 1 <= limit + ROUNDING,
        )
        .returning(col(row.count))
    )
    if (await session.exec(statement)).first() is None:
        found = (await session.exec(select(row).where(row.subject == subject))).one()
        wait = _wait(found, limit, now, period)
        raise RateLimited(
            f"Too many requests: {limit} are allowed in {int(period.total_seconds())} seconds. "
            f"Try again in {wait} s.",
            wait,
        )


async def forget_windows(session: AsyncSession, *, now: datetime) -> None:
    """Remove what no limit looks at any more."""
    old = now - timedelta(hours=2)
    await session.exec(delete(RateWindow).where(col(RateWindow.started_at) < old))


def _left(now: datetime, started: Any, period: timedelta) -> Any:
    """How much of the window before still counts, 1 to 0, in SQL."""
    return 1 - extract("epoch", now - started) / period.total_seconds()


def _wait(row: RateWindow, limit: int, now: datetime, period: timedelta) -> int:
    """Whole seconds until one more is allowed, if nobody else asks meanwhile."""
    seconds = period.total_seconds()
    age = (now - row.started_at).total_seconds()
    count, previous = row.count, row.previous
    if age >= seconds:
        age, count, previous = age - seconds, 0, row.count
    if count < limit:
        # The window before has to fade to what is left of the limit.
        wait = seconds * (1 - (limit - 1 - count) / max(previous, 1)) - age
    else:
        wait = seconds - age + seconds * (1 - (limit - 1) / count)
    return max(1, ceil(wait - ROUNDING))
