"""Usage as customers see it: today, month to date, what the next invoice will be (API-81)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing import credit
from core.billing.metering import NOTHING, thousandths
from core.billing.models import UsageEvent, UsageKind


@dataclass(frozen=True)
class Totals:
    """Of a stretch of time. `bots` counts finished runs; the amount includes the add-on's."""

    bots: int
    seconds: int
    hours_billed: Decimal
    amount_usd: Decimal


@dataclass(frozen=True)
class Summary:
    """`period_start` to `period_end` is the calendar month, UTC; the end is not part of it."""

    today: Totals
    month_to_date: Totals
    credit_granted_usd: Decimal
    credit_remaining_usd: Decimal
    invoice_estimate_usd: Decimal
    period_start: datetime
    period_end: datetime


async def usage_summary(
    session: AsyncSession, team_id: str, livemode: bool, *, now: datetime
) -> Summary:
    """What a team has used and has left."""
    month = credit.month_of(now)
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    month_to_date = await _totals(session, team_id, livemode, month)
    granted = await credit.granted(session, team_id)
    before = await credit.billed(session, team_id, before=month)
    # Credit is used up in the order of usage; it does not expire (BL-13).
    left_for_this_month = max(granted - before, NOTHING)
    spent = before + await _spent(session, team_id, month)
    return Summary(
        today=await _totals(session, team_id, livemode, day),
        month_to_date=month_to_date,
        credit_granted_usd=granted,
        credit_remaining_usd=credit.shown(granted - spent),
        invoice_estimate_usd=max(month_to_date.amount_usd - left_for_this_month, NOTHING),
        period_start=month,
        period_end=credit.month_after(month),
    )


async def usage_events(
    session: AsyncSession,
    team_id: str,
    livemode: bool,
    *,
    limit: int,
    before_id: str | None = None,
) -> Sequence[UsageEvent]:
    """Up to `limit` events, newest first, those older than `before_id` where given."""
    statement = select(UsageEvent).where(
        UsageEvent.team_id == team_id, UsageEvent.livemode == livemode
    )
    if before_id is not None:
        statement = statement.where(col(UsageEvent.id) < before_id)
    return (await session.exec(statement.order_by(col(UsageEvent.id).desc()).limit(limit))).all()


async def _totals(session: AsyncSession, team_id: str, livemode: bool, since: datetime) -> Totals:
    recordings = col(UsageEvent.kind) == UsageKind.RECORDING
    amounts = col(UsageEvent.amount_usd) + col(UsageEvent.transcription_amount_usd)
    statement = select(
        func.count().filter(recordings),
        func.coalesce(func.sum(UsageEvent.seconds).filter(recordings), 0),
        func.coalesce(func.sum(UsageEvent.hours_billed), 0),
        func.coalesce(func.sum(amounts), 0),
    ).where(
        UsageEvent.team_id == team_id,
        UsageEvent.livemode == livemode,
        col(UsageEvent.recorded_at) >= since,
    )
    bots, seconds, hours, amount = (await session.exec(statement)).one()
    return Totals(bots, seconds, thousandths(Decimal(hours)), thousandths(Decimal(amount)))


async def _spent(session: AsyncSession, team_id: str, since: datetime) -> Decimal:
    return (await _totals(session, team_id, True, since)).amount_usd
