"""Telling Stripe's meters of usage, once, however often it is tried (BL-17 to 19).

Stripe refuses an identifier that it has, but promises to remember one for a day only. So an
event of which nobody knows whether Stripe took it is tried again for almost a day, and then left
to a person, as `uncertain`: `meetbot-server bill check` names it. Everything else is tried until
Stripe takes it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import update
from sqlmodel import col, not_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing.credit import month_of
from core.billing.customers import Customers
from core.billing.metering import SECONDS_PER_HOUR
from core.billing.models import UsageEvent
from core.billing.payments import MeterReport, Payments
from core.billing.stripe_models import BillingAccount, MeterEvent
from core.clock import Clock
from core.database import Database
from core.errors import BadInput, MeetbotError, NotFound, PaymentServiceError

log = logging.getLogger(__name__)

BATCH: Final = 200
# How long one call goes on; the next one goes on where it stopped.
MOST_SECONDS: Final = 100
FIRST_DELAY: Final = timedelta(minutes=1)
LONGEST_DELAY: Final = timedelta(hours=2)
JITTER: Final = 0.2
# Stripe promises a day; an attempt and the clocks' differences have to fit.
REMEMBERED: Final = timedelta(hours=22)
# Invoices of a month are closed an hour after it; what comes later is booked in the new month.
INVOICE_GRACE: Final = timedelta(minutes=30)
LONGEST_ERROR: Final = 500


@dataclass(frozen=True)
class Tally:
    """What a drain did. `skipped`: nobody collects money here."""

    sent: int = 0
    failed: int = 0
    skipped: int = 0


class MeterReporter:
    """Sends meter events that are due.

    Args:
        unit: what one unit of the meters is.
        random: uniform in [0, 1), for the jitter of retries.
    """

    def __init__(
        self,
        database: Database,
        payments: Payments,
        customers: Customers,
        clock: Clock,
        *,
        unit: Literal["thousandths", "seconds"] = "thousandths",
        random: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._payments = payments
        self._customers = customers
        self._clock = clock
        self._unit = unit
        self._random = random

    async def drain(self) -> Tally:
        """Send everything that is due, until it is done or takes too long."""
        if not self._payments.collects:
            return Tally(skipped=await self._skip())
        sent = failed = 0
        deadline = self._clock.monotonic() + MOST_SECONDS
        while self._clock.monotonic() < deadline:
            due = await self._due()
            if not due:
                break
            accounts: dict[str, BillingAccount | MeetbotError] = {}
            for row, usage in due:
                if await self._send(row, usage, accounts):
                    sent += 1
                else:
                    failed += 1
        return Tally(sent, failed)

    async def _skip(self) -> int:
        """Usage of a time without Stripe is owed to nobody, also when Stripe is set up later."""
        statement = (
            update(MeterEvent)
            .where(col(MeterEvent.sent_at).is_(None), not_(col(MeterEvent.skipped)))
            .values(skipped=True)
            .returning(col(MeterEvent.identifier))
            .execution_options(synchronize_session=False)
        )
        async with self._database.begin() as session:
            return len((await session.exec(statement)).all())

    async def _due(self) -> Sequence[tuple[MeterEvent, UsageEvent]]:
        statement = (
            select(MeterEvent, UsageEvent)
            .join(UsageEvent, col(UsageEvent.id) == col(MeterEvent.usage_event_id))
            .where(
                col(MeterEvent.sent_at).is_(None),
                not_(col(MeterEvent.skipped)),
                not_(col(MeterEvent.uncertain)),
                col(MeterEvent.next_attempt_at) <= self._clock.now(),
            )
            .order_by(col(MeterEvent.next_attempt_at), col(MeterEvent.identifier))
            .limit(BATCH)
        )
        async with self._database.begin() as session:
            return (await session.exec(statement)).all()

    async def _send(
        self,
        row: MeterEvent,
        usage: UsageEvent,
        accounts: dict[str, BillingAccount | MeetbotError],
    ) -> bool:
        now = self._clock.now()
        if row.unknown_since is not None and now - row.unknown_since > REMEMBERED:
            await self._give_to_a_person(row.identifier)
            return False
        account = await self._account(row.team_id, accounts)
        if isinstance(account, MeetbotError):
            await self._failed(row.identifier, account)
            return False
        value, booked_at = units(usage, self._unit), booking(usage.recorded_at, account, now)
        report = MeterReport(
            row.event_name, row.identifier, str(account.customer_id), value, booked_at
        )
        try:
            await self._payments.report(report)
        except PaymentServiceError as error:
            await self._failed(row.identifier, error)
            return False
        async with self._database.begin() as session:
            done = await session.get_one(MeterEvent, row.identifier, with_for_update=True)
            done.attempts += 1
            done.sent_at, done.value, done.booked_at = now, value, booked_at
            done.last_error = None
        return True

    async def _account(
        self, team_id: str, accounts: dict[str, BillingAccount | MeetbotError]
    ) -> BillingAccount | MeetbotError:
        """The team's account; looked for once a round, whatever comes of it."""
        if team_id not in accounts:
            try:
                accounts[team_id] = await self._customers.ensure(team_id)
            except (PaymentServiceError, NotFound) as error:
                accounts[team_id] = error
        return accounts[team_id]

    async def _failed(self, identifier: str, error: MeetbotError) -> None:
        now = self._clock.now()
        async with self._database.begin() as session:
            row = await session.get_one(MeterEvent, identifier, with_for_update=True)
            row.attempts += 1
            row.last_error = error.message[:LONGEST_ERROR]
            row.next_attempt_at = now + delay(row.attempts, self._random)
            # An error of the account's happened before anything was sent.
            if isinstance(error, PaymentServiceError) and error.outcome_unknown:
                row.unknown_since = row.unknown_since or now
        log.warning("%s was not reported: %s", identifier, error.message)

    async def _give_to_a_person(self, identifier: str) -> None:
        async with self._database.begin() as session:
            row = await session.get_one(MeterEvent, identifier, with_for_update=True)
            row.uncertain = True
        log.error("%s may or may not have reached Stripe; see `bill check`", identifier)


async def resend(
    session: AsyncSession,
    identifier: str,
    *,
    counted: bool,
    unit: Literal["thousandths", "seconds"],
    now: datetime,
) -> None:
    """A person looked at Stripe: it has the event (`counted`), or it is to be told once more.

    Raises:
        NotFound: there is no such event.
        BadInput: it waits to be sent as it is, or is owed to nobody.
    """
    row = await session.get(MeterEvent, identifier, with_for_update=True)
    if row is None:
        raise NotFound(f"Nothing of the identifier {identifier} is for Stripe.")
    if row.skipped:
        raise BadInput(f"{identifier} is of a time without Stripe, and owed to nobody.")
    if row.sent_at is None and not row.uncertain:
        raise BadInput(f"{identifier} is on its way to Stripe already.")
    usage = await session.get_one(UsageEvent, row.usage_event_id)
    account = await session.get_one(BillingAccount, row.team_id)
    row.uncertain, row.unknown_since, row.last_error = False, None, None
    if counted:
        row.sent_at, row.value = row.sent_at or now, row.value or units(usage, unit)
        row.booked_at = row.booked_at or booking(usage.recorded_at, account, usage.recorded_at)
    else:
        row.sent_at = row.value = row.booked_at = None
        row.next_attempt_at = now


def units(usage: UsageEvent, unit: Literal["thousandths", "seconds"]) -> int:
    """What the meter is told: whole thousandths of the billed hours, or seconds (BL-17)."""
    hours = usage.hours_billed + usage.transcription_hours_billed
    if unit == "thousandths":
        return int(hours * 1000)
    return max(usage.seconds - int(usage.free_hours * SECONDS_PER_HOUR), 0)


def booking(recorded_at: datetime, account: BillingAccount, now: datetime) -> datetime:
    """When usage counts for Stripe: when it was recorded, unless no invoice would have it then.

    That is before the subscription began, or in a month whose invoice is closed. So it is never
    older than the 35 days that Stripe allows (BL-19).
    """
    booked = recorded_at
    month = month_of(now)
    if booked < month and now - month > INVOICE_GRACE:
        booked = month
    return max(booked, account.subscribed_at) if account.subscribed_at is not None else booked


def delay(attempts: int, random: Callable[[], float]) -> timedelta:
    """How long to wait after the `attempts`-th failure: doubling, with jitter."""
    doublings = min(attempts - 1, 20)
    plain = min(FIRST_DELAY * float(2**doublings), LONGEST_DELAY)
    return plain * (1 - JITTER + 2 * JITTER * random())
