"""The credit ledger: grants, and what usage has left of them (BL-11 to 14, BL-29)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Team
from core.billing.metering import NOTHING, thousandths
from core.billing.models import CreditEntry, CreditKind, UsageEvent
from core.errors import BadInput
from core.ids import new_id
from core.prices import SIGNUP_CREDIT


async def grant_signup_credit(session: AsyncSession, team_id: str, *, now: datetime) -> None:
    """What every team starts with; a second call grants nothing (BL-11)."""
    entry = CreditEntry(
        id=new_id("crd"),
        team_id=team_id,
        kind=CreditKind.SIGNUP,
        amount_usd=SIGNUP_CREDIT,
        created_at=now,
    )
    await session.exec(insert(CreditEntry).values(**entry.model_dump()).on_conflict_do_nothing())


async def grant(
    session: AsyncSession, team_id: str, amount_usd: Decimal, note: str, *, now: datetime
) -> CreditEntry:
    """Give a team more credit.

    Raises:
        BadInput: the amount is no positive number of cents, which is what Stripe can grant.
    """
    if amount_usd <= 0 or amount_usd != amount_usd.quantize(Decimal("0.01")):
        raise BadInput("Credit is granted in whole cents, one at least.")
    entry = CreditEntry(
        id=new_id("crd"),
        team_id=team_id,
        kind=CreditKind.GRANT,
        amount_usd=thousandths(amount_usd),
        note=note,
        created_at=now,
    )
    session.add(entry)
    await session.flush()
    return entry


async def granted(session: AsyncSession, team_id: str) -> Decimal:
    """All that the team was ever granted, in dollars."""
    total = select(func.coalesce(func.sum(CreditEntry.amount_usd), 0))
    found = await session.exec(total.where(CreditEntry.team_id == team_id))
    return thousandths(Decimal(found.one()))


async def billed(session: AsyncSession, team_id: str, *, before: datetime | None = None) -> Decimal:
    """All that the team's usage cost, in dollars; `before` leaves out what came later."""
    amounts = col(UsageEvent.amount_usd) + col(UsageEvent.transcription_amount_usd)
    # Test usage costs nothing (BL-10), so both worlds may be summed.
    total = select(func.coalesce(func.sum(amounts), 0)).where(UsageEvent.team_id == team_id)
    if before is not None:
        total = total.where(col(UsageEvent.recorded_at) < before)
    return thousandths(Decimal((await session.exec(total)).one()))


async def remaining(session: AsyncSession, team_id: str) -> Decimal:
    """Grants less what usage cost; negative once a job that went on has used more (BL-24)."""
    return await granted(session, team_id) - await billed(session, team_id)


def shown(credit: Decimal) -> Decimal:
    """Credit as customers see it: never below 0 (BL-12)."""
    return max(credit, NOTHING)


def hours_for(credit: Decimal, usd_per_hour: Decimal) -> Decimal:
    """How many hours it pays for, one decimal, never promising too much (BL-29)."""
    if usd_per_hour <= 0:
        return NOTHING
    return (shown(credit) / usd_per_hour).quantize(Decimal("0.1"), ROUND_FLOOR)


async def free_hours_left(
    session: AsyncSession, team_id: str, free_hours_per_month: Decimal, *, now: datetime
) -> Decimal:
    """What the team has left of this calendar month's free hours (BL-14).

    It holds the team's row, so that two jobs that end at once do not use the same hours.
    """
    if free_hours_per_month <= 0:
        return NOTHING
    # Jobs may go on being added to the team meanwhile.
    lock = {"key_share": True}
    await session.get_one(Team, team_id, with_for_update=lock, populate_existing=True)
    used = select(func.coalesce(func.sum(UsageEvent.free_hours), 0)).where(
        UsageEvent.team_id == team_id, col(UsageEvent.recorded_at) >= month_of(now)
    )
    return max(free_hours_per_month - Decimal((await session.exec(used)).one()), NOTHING)


def month_of(moment: datetime) -> datetime:
    """When the calendar month of `moment` began, UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(month: datetime) -> datetime:
    """When the calendar month after `month` begins."""
    if month.month == 12:
        return month.replace(year=month.year + 1, month=1)
    return month.replace(month=month.month + 1)
