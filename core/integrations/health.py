"""Which lent accounts are looked at, and what is noted of them (PL-24).

An account is looked at once a day while no bot has it. One that a bot is lent meanwhile is the
bot's: what the look brought is left out, because the bot's browser renews the cookies, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.integrations.models import Integration
from core.integrations.pool import in_use
from core.integrations.state import StorageState
from core.secrets import SecretBox

EVERY: Final = timedelta(days=1)
# Longer than a look takes; when whoever looks dies, the account is free again after it.
HELD: Final = timedelta(minutes=5)


async def take_due(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[Integration]:
    """Accounts that nobody has looked at for a day, the longest first, held for the look."""
    statement = (
        select(Integration)
        .where(
            col(Integration.problem).is_(None),
            or_(col(Integration.expires_at).is_(None), col(Integration.expires_at) > now),
            or_(col(Integration.checked_at).is_(None), col(Integration.checked_at) < now - EVERY),
            or_(col(Integration.held_until).is_(None), col(Integration.held_until) <= now),
        )
        .order_by(col(Integration.checked_at).asc().nulls_first(), col(Integration.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await session.exec(statement)).all()
    busy = await in_use(session, rows)
    free = [row for row in rows if row.lent_to not in busy]
    for row in free:
        row.held_until = now + HELD
    return free


async def note_good(
    session: AsyncSession,
    box: SecretBox,
    looked_at: Integration,
    state: StorageState | None,
    *,
    now: datetime,
) -> None:
    """It is signed in, and `state` is newer than what we had."""
    row = await _same(session, looked_at)
    if row is None:
        return
    row.checked_at, row.held_until = now, None
    if state is not None and state.of_account(row.provider):
        row.storage_state = box.seal(SecretStr(json.dumps(state.opened())))
        row.expires_at = state.expires_at(row.provider)


async def note_revoked(
    session: AsyncSession, looked_at: Integration, problem: str, *, now: datetime
) -> None:
    """Its provider does not know it any more."""
    row = await _same(session, looked_at)
    if row is not None:
        row.checked_at, row.held_until, row.problem = now, None, problem


async def note_unknown(session: AsyncSession, looked_at: Integration, *, now: datetime) -> None:
    """Nothing was learnt: it stays as it is, and is looked at again in a while."""
    row = await _same(session, looked_at)
    if row is not None:
        row.held_until, row.checked_at = None, now - EVERY * 0.75


async def _same(session: AsyncSession, looked_at: Integration) -> Integration | None:
    """The row, locked; None when it is gone, connected anew or lent since it was looked at."""
    row = await session.get(Integration, looked_at.id, with_for_update=True)
    if row is None or row.storage_state != looked_at.storage_state:
        return None
    if row.lent_to != looked_at.lent_to:
        row.held_until = None
        return None
    return row
