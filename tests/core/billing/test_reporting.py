"""Usage on its way to Stripe: once, at the right moment, however often it fails (BL-17 to 19)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlmodel import col, select

from core.accounts.models import Team
from core.billing import credit
from core.billing.customers import Customers
from core.billing.payments import NoPayments
from core.billing.reporting import LONGEST_DELAY, MeterReporter, Tally, delay
from core.billing.stripe_models import BillingAccount, MeterEvent
from core.jobs.failures import FailureCode
from core.prices import PriceList
from tests.support.billing import record
from tests.support.jobs import JobBook
from tests.support.stripe_server import StripeServer

pytestmark = pytest.mark.integration

DAY = timedelta(days=1).total_seconds()


async def meters(book: JobBook) -> Sequence[MeterEvent]:
    async with book.database.begin() as session:
        return (await session.exec(select(MeterEvent).order_by(col(MeterEvent.identifier)))).all()


async def account(book: JobBook) -> BillingAccount:
    async with book.database.begin() as session:
        return await session.get_one(BillingAccount, book.team_id)


async def test_recording_and_transcript_are_told_to_their_meters_once(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """BL-17, BL-18: identifiers are the job, and the job with the transcript's revision."""
    job = await record(book, 4253, transcribed=True)
    assert await reporter.drain() == Tally(sent=2)
    assert await reporter.drain() == Tally()
    told = {c.identifier: (c.event_name, c.value) for c in stripe_server.counted}
    assert told == {
        job.id: ("recording_hours", 1181),
        f"{job.id}:1": ("transcription_hours", 1181),
    }
    customer = str((await account(book)).customer_id)
    assert stripe_server.amounts(customer) == [Decimal("0.354"), Decimal("0.118")]


@pytest.mark.parametrize(
    ("seconds", "livemode", "failure"),
    [(59, True, None), (600, False, None), (600, True, FailureCode.INTERNAL_ERROR)],
    ids=["short", "test", "our-fault"],
)
async def test_what_is_not_billed_is_told_to_nobody(
    book: JobBook,
    reporter: MeterReporter,
    stripe_server: StripeServer,
    seconds: int,
    livemode: bool,
    failure: FailureCode | None,
) -> None:
    """BL-10, BL-17: not even a customer is made."""
    await record(book, seconds, livemode=livemode, failure=failure)
    assert await reporter.drain() == Tally()
    assert (stripe_server.counted, stripe_server.asked) == ([], [])


async def test_the_first_usage_makes_customer_credit_and_subscription(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """BL-13: Stripe knows of all credit, so that it asks for money only after it."""
    async with book.database.begin() as session:
        await credit.grant(session, book.team_id, Decimal("20.00"), "pilot", now=book.now)
    await record(book, 600)
    await reporter.drain()
    known = await account(book)
    cents = [grant["amount"]["monetary"]["value"] for grant in stripe_server.grants]
    assert cents == [500, 2000]
    assert {grant["customer"] for grant in stripe_server.grants} == {known.customer_id}
    (subscription,) = stripe_server.subscriptions.values()
    assert subscription["billing_cycle_anchor_config"]["day_of_month"] == 1
    assert known.subscription_id == subscription["id"]


async def test_stripe_away_is_waited_out_and_told_once(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """BL-19."""
    await record(book, 600)
    stripe_server.down = True
    assert await reporter.drain() == Tally(failed=1)
    assert await reporter.drain() == Tally()
    (row,) = await meters(book)
    assert (row.attempts, row.sent_at, row.unknown_since is None) == (1, None, False)
    stripe_server.down = False
    book.clock.advance(3600)
    assert await reporter.drain() == Tally(sent=1)
    (row,) = await meters(book)
    assert (row.attempts, row.value, row.last_error) == (2, 167, None)
    assert [c.value for c in stripe_server.counted] == [167]


async def test_a_lost_answer_does_not_count_twice(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """BL-17: Stripe has it, and says so when it is told again."""
    await record(book, 600)
    stripe_server.faults = [-500]
    assert await reporter.drain() == Tally(failed=1)
    book.clock.advance(3600)
    assert await reporter.drain() == Tally(sent=1)
    assert [c.value for c in stripe_server.counted] == [167]


async def test_what_stripe_may_have_forgotten_is_left_to_a_person(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """After a day Stripe would take the same identifier again, and count it twice."""
    await record(book, 600)
    stripe_server.faults = [-500]
    await reporter.drain()
    book.clock.advance(DAY)
    assert await reporter.drain() == Tally(failed=1)
    assert await reporter.drain() == Tally()
    (row,) = await meters(book)
    assert (row.uncertain, row.sent_at) == (True, None)
    assert [c.value for c in stripe_server.counted] == [167]


async def test_what_stripe_surely_does_not_have_is_never_given_up(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """BL-19: 40 days late, booked in the month whose invoice is open."""
    await record(book, 600)
    stripe_server.faults = [429]
    await reporter.drain()
    book.clock.advance(40 * DAY)
    assert await reporter.drain() == Tally(sent=1)
    (told,) = stripe_server.counted
    assert datetime.fromtimestamp(told.at, UTC) == datetime(2026, 6, 1, tzinfo=UTC)


async def test_usage_counts_when_it_was_recorded(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """Not when it was told: the day of a delay makes no difference inside a month."""
    await record(book, 600)
    await reporter.drain()
    book.clock.advance(60)
    recorded = book.now
    await record(book, 700)
    book.clock.advance(5 * DAY)
    await reporter.drain()
    assert datetime.fromtimestamp(stripe_server.counted[-1].at, UTC) == recorded


async def test_a_price_of_its_own_is_that_of_the_subscription(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """BL-26: also when it was agreed on later."""
    await record(book, 3600)
    await reporter.drain()
    async with book.database.begin() as session:
        (await session.get_one(Team, book.team_id)).rate_usd_per_hour = Decimal("0.24")
    await record(book, 3600)
    await reporter.drain()
    (subscription,) = stripe_server.subscriptions.values()
    cents = [item["price"]["unit_amount_decimal"] for item in subscription["items"]["data"]]
    assert cents == ["0.024", "0.01"]


async def test_free_hours_are_not_told(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """BL-14: only what is billed, as `hours_billed` says."""
    prices = PriceList(free_hours_per_month=Decimal("0.5"))
    await record(book, 1200, prices=prices)
    await record(book, 1200, prices=prices)
    await reporter.drain()
    assert [c.value for c in stripe_server.counted] == [333 - 167]


async def test_units_can_be_seconds(
    book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """BL-17: the switch."""
    reporter._unit = "seconds"
    await record(book, 4253)
    await reporter.drain()
    assert [c.value for c in stripe_server.counted] == [4253]


async def test_without_stripe_usage_is_owed_to_nobody_also_later(
    book: JobBook, customers: Customers, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    """Whoever runs this for themselves and sets up Stripe later does not bill the past."""
    await record(book, 600)
    alone = MeterReporter(book.database, NoPayments(), customers, book.clock)
    assert await alone.drain() == Tally(skipped=1)
    assert await reporter.drain() == Tally()
    await record(book, 700)
    assert await reporter.drain() == Tally(sent=1)
    assert [c.value for c in stripe_server.counted] == [194]


def test_retries_come_later_and_later_up_to_two_hours() -> None:
    """BL-19: often enough that Stripe still knows the identifier."""
    minutes = [delay(n, lambda: 0.5).total_seconds() / 60 for n in range(1, 10)]
    assert minutes == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    assert delay(10_000, lambda: 0.999) <= LONGEST_DELAY * 1.2
