"""The ledger in the order in which it became visible, for those who listen (API-36, WH-35).

Numbers of a sequence are given before their transactions commit, so a reader that remembers the
last one it saw skips what commits later with a smaller one. So rows carry their transaction's id,
and a reader takes only those of transactions before the oldest that still runs: what it has not
seen is always after what it has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import BigInteger, Text, cast, func, text
from sqlmodel import col, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from core.webhooks.models import Delivery

PAGE: Final = 100
_NEXT: Final = cast(cast(func.pg_snapshot_xmax(func.pg_current_snapshot()), Text), BigInteger)
_RUNNING: Final[Any] = text(
    "select backend_xid::text::bigint from pg_stat_activity where backend_xid is not null "
    "and datname = current_database() and pid <> pg_backend_pid()"
)
_CURSOR: Final = re.compile(r"(\d{1,18})-(\d{1,18})")


@dataclass(frozen=True)
class StreamCursor:
    """The last row that was seen: its transaction, and its number."""

    transaction: int
    seq: int

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """From an event's id; None when it is none of ours."""
        match = _CURSOR.fullmatch(text or "")
        return cls(int(match[1]), int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.transaction}-{self.seq}"


@dataclass(frozen=True)
class StreamPage:
    """`more`: there is more to be had, at once or in a moment."""

    deliveries: Sequence[tuple[StreamCursor, Delivery]]
    more: bool


async def newest(session: AsyncSession) -> StreamCursor:
    """Where somebody starts who wants only what comes from now on."""
    return StreamCursor(await _horizon(session) - 1, 10**18 - 1)


async def after(
    session: AsyncSession, team_id: str, livemode: bool, seen: StreamCursor
) -> StreamPage:
    """What a team's listeners have not seen, in order."""
    horizon = await _horizon(session)
    place = tuple_(col(Delivery.written_in), col(Delivery.seq))
    unseen = select(Delivery, Delivery.written_in, Delivery.seq).where(
        Delivery.team_id == team_id,
        Delivery.livemode == livemode,
        place > tuple_(seen.transaction, seen.seq),
    )
    settled = unseen.where(col(Delivery.written_in) < horizon).order_by(place).limit(PAGE)
    rows = (await session.exec(settled)).all()
    found = [(StreamCursor(transaction or 0, seq or 0), row) for row, transaction, seq in rows]
    if len(found) == PAGE:
        return StreamPage(found, more=True)
    behind = unseen.where(col(Delivery.written_in) >= horizon).limit(1)
    return StreamPage(found, more=(await session.exec(behind)).first() is not None)


async def _horizon(session: AsyncSession) -> int:
    """The oldest transaction of this database that has not ended.

    The snapshot's own says the same of the whole server, where Prefect's transactions may be long.
    The order of the two looks matters: whoever is missing in the second had ended, or began later.
    """
    following = int((await session.exec(select(_NEXT))).one())
    running = (await session.exec(_RUNNING)).all()
    # Here they are the lower 32 bits only.
    ages = [(following - int(xid)) % 2**32 for (xid,) in running]
    return following - max(ages, default=0)
