"""How often somebody may do something, counted for all API processes together (API-85).

`take` counts exactly, one statement a request: for what is rare. For what is frequent a process
counts by itself and tells the others every second, by `add` (see `api.request_meter`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final, Self

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


@dataclass(frozen=True)
class Count:
    """A row as it was read; what was done in the window before fades away linearly."""

    started_at: datetime
    count: int = 0
    previous: int = 0

    @classmethod
    def of(cls, row: RateWindow) -> Self:
        return cls(row.started_at, row.count, row.previous)

    def at(self, now: datetime, period: timedelta = MINUTE) -> "Count":
        """The same in the window of `now`."""
        if now < self.started_at + period:
            return self
        if now < self.started_at + 2 * period:
            return Count(self.started_at + period, 0, self.count)
        return Count(now)

    def used(self, now: datetime, period: timedelta = MINUTE) -> float:
        """How much of a limit is used up."""
        here = self.at(now, period)
        return here.count + here.previous * (1 - (now - here.started_at) / period)

    def wait(self, limit: int, now: datetime, period: timedelta = MINUTE) -> int:
        """Whole seconds until one more is allowed, if nobody asks meanwhile."""
        here = self.at(now, period)
        seconds = period.total_seconds()
        age = (now - here.started_at).total_seconds()
        if here.count < limit:
            # The window before has to fade to what is left of the limit.
            left = (limit - 1 - here.count) / max(here.previous, 1)
            wait = seconds * (1 - left) - age
        else:
            wait = seconds - age + seconds * (1 - (limit - 1) / here.count)
        return max(1, ceil(wait - ROUNDING))


async def take(
    session: AsyncSession,
    subject: str,
    limit: int,
    *,
    now: datetime,
    period: timedelta = MINUTE,
) -> None:
    """Count one request of `subject`; refused ones do not count.

    Raises:
        RateLimited: there were `limit` within `period`; it says when to come back.
    """
    row = RateWindow
    statement = _counting(subject, 1, now, period, limit).returning(col(row.count))
    if (await session.exec(statement)).first() is None:
        found = (await session.exec(select(row).where(row.subject == subject))).one()
        raise refused(Count.of(found), limit, now, period)


def refused(count: Count, limit: int, now: datetime, period: timedelta = MINUTE) -> RateLimited:
    """What to raise when `count` has reached `limit`."""
    wait = count.wait(limit, now, period)
    return RateLimited(
        f"Too many requests: {limit} are allowed in {int(period.total_seconds())} seconds. "
        f"Try again in {wait} s.",
        wait,
    )


async def add(session: AsyncSession, subject: str, number: int, *, now: datetime) -> Count:
    """Count `number` requests that were let through; what everybody has counted."""
    row = RateWindow
    statement = _counting(subject, number, now, MINUTE, None).returning(
        col(row.started_at), col(row.count), col(row.previous)
    )
    started_at, count, previous = (await session.exec(statement)).one()
    return Count(started_at, count, previous)


async def forget_windows(session: AsyncSession, *, now: datetime) -> None:
    """Remove what no limit looks at any more."""
    old = now - timedelta(hours=2)
    await session.exec(delete(RateWindow).where(col(RateWindow.started_at) < old))


def _counting(
    subject: str, number: int, now: datetime, period: timedelta, limit: int | None
) -> Any:
    """The statement that counts `number`, if that stays within `limit`."""
    row = RateWindow
    same = col(row.started_at) > now - period
    next_one = col(row.started_at) > now - 2 * period
    started: Any = case(
        (same, col(row.started_at)), (next_one, col(row.started_at) + period), else_=now
    )
    count: Any = case((same, col(row.count)), else_=0)
    previous: Any = case((same, col(row.previous)), (next_one, col(row.count)), else_=0)
    # 1 to 0: how much of the window before still counts.
    left = 1 - extract("epoch", now - started) / period.total_seconds()
    within = None
    if limit is not None:
        # Whoever comes at the very moment that they were told is let in.
        within = count + previous * left + number <= limit + ROUNDING
    return (
        insert(row)
        .values(subject=subject, started_at=now, count=number, previous=0)
        .on_conflict_do_update(
            index_elements=["subject"],
            set_={"started_at": started, "count": count + number, "previous": previous},
            where=within,
        )
    )
