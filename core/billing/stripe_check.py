"""What Stripe's meters have of a team, held against what we told them, month by month (D15, BL-17).

Stripe counts within minutes, not at once, and of some events nobody knows whether it took them: so
its sum may lie anywhere between what it surely has and what it may have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlmodel import col, select

from core.billing.audit import Audit
from core.billing.credit import month_after, month_of
from core.billing.models import UsageEvent
from core.billing.payments import Payments
from core.billing.reporting import units
from core.billing.stripe_models import BillingAccount, MeterEvent
from core.billing.usage import (
    RECORDING_METER,
    TRANSCRIPTION_METER,
    is_metered,
    meter_identifier,
    meter_name,
)
from core.database import Database

# What was told so lately need not be in Stripe's sums yet.
SETTLING: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
# More would say nothing that the first ones do not.
MOST_NAMED: Final = 10


@dataclass(frozen=True)
class _Told:
    identifier: str
    value: int
    booked_at: datetime
    certain: bool


@dataclass
class _Month:
    """Of one meter: what Stripe was told to book from `start` to `end`."""

    event_name: str
    start: datetime
    end: datetime
    told: list[_Told] = field(default_factory=list)

    @property
    def least(self) -> int:
        return sum(one.value for one in self.told if one.certain)

    @property
    def most(self) -> int:
        return sum(one.value for one in self.told)


async def check_stripe(
    database: Database,
    payments: Payments,
    audit: Audit,
    *,
    now: datetime,
    unit: Literal["thousandths", "seconds"] = "thousandths",
) -> None:
    """Add to `audit` what Stripe counts, and each month of a meter in which that differs.

    Nothing where nobody collects, or before the team has a subscription. What an earlier customer
    of the team was told, whom Stripe has deleted, is left out.

    Raises:
        PaymentServiceError: Stripe does not say.
    """
    async with database.begin() as session:
        account = await session.get(BillingAccount, audit.team_id)
        statement = (
            select(MeterEvent, UsageEvent)
            .join(UsageEvent, col(UsageEvent.id) == col(MeterEvent.usage_event_id))
            .where(MeterEvent.team_id == audit.team_id)
            .order_by(col(MeterEvent.identifier))
        )
        rows = (await session.exec(statement)).all()
        known = select(MeterEvent.usage_event_id)
        others = select(UsageEvent).where(
            UsageEvent.team_id == audit.team_id, col(UsageEvent.id).not_in(known)
        )
        elsewhere = (await session.exec(others)).all()
    if not payments.collects or account is None or account.customer_id is None:
        return
    if account.subscribed_at is None:
        return
    customer, since = account.customer_id, account.subscribed_at
    told = [(row.event_name, one) for row, usage in rows if (one := _told(row, usage, unit, now))]
    # Other regions tell of their usage themselves, of the same customer (RG-07).
    told += [
        (
            meter_name(usage),
            _Told(meter_identifier(usage), units(usage, unit), usage.recorded_at, certain=False),
        )
        for usage in elsewhere
        if is_metered(usage)
    ]
    for month in _months(since, now):
        month.told = [
            one
            for name, one in told
            if name == month.event_name and max(month.start, since) <= one.booked_at < month.end
        ]
        # Whole minutes are asked for; nobody is told of usage before the subscription.
        start = max(month.start, since.replace(second=0, microsecond=0))
        end = min(month.end, now.replace(second=0, microsecond=0) + MINUTE)
        counted = await payments.metered(customer, month.event_name, start, end)
        audit.units_counted[month.event_name] = (
            audit.units_counted.get(month.event_name, 0) + counted
        )
        if not month.least <= counted <= month.most:
            audit.differ(_words(month, counted, customer))


def _told(
    row: MeterEvent, usage: UsageEvent, unit: Literal["thousandths", "seconds"], now: datetime
) -> _Told | None:
    """What Stripe has of an event, or may have."""
    if row.sent_at is not None and row.value is not None and row.booked_at is not None:
        return _Told(row.identifier, row.value, row.booked_at, now - row.sent_at > SETTLING)
    if row.unknown_since is not None:
        return _Told(row.identifier, units(usage, unit), usage.recorded_at, certain=False)
    return None


def _months(since: datetime, now: datetime) -> Iterator[_Month]:
    month = month_of(since)
    while month <= now:
        for name in (RECORDING_METER, TRANSCRIPTION_METER):
            yield _Month(name, month, month_after(month))
        month = month_after(month)


def _words(month: _Month, counted: int, customer: str) -> str:
    """What differs, which jobs may be why, and what to do."""
    missing = counted < month.least
    off = month.least - counted if missing else counted - month.most
    asked = month.least if missing else month.most
    suspects = [one for one in month.told if one.value == off] or month.told
    what = (
        "Look for them among the meter's events at Stripe; what is not there is sent again by "
        "`meetbot-server bill resend IDENTIFIER`."
        if missing
        else "Look for what is there twice, or was not sent by us, and cancel it at Stripe (within "
        "a day), or credit it to the customer."
    )
    return (
        f"{month.start:%Y-%m} {month.event_name}: Stripe counts {counted} of {customer}, it was "
        f"told {asked}; {off} too {'few' if missing else 'many'}. {_named(suspects)} {what}"
    )


def _named(told: Sequence[_Told]) -> str:
    if not told:
        return "We told it nothing."
    names = [f"{one.identifier} ({one.value})" for one in told[:MOST_NAMED]]
    more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    return f"It may be {', '.join(names)}{more}."
