"""A month's usage on the invoice of that month, on Stripe's test clock (BL-13, BL-17 to 19)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import stripe

from core.billing.customers import Customers
from core.billing.payments import Invoice
from core.billing.reporting import MeterReporter, Tally
from core.billing.stripe_client import StripePayments
from core.prices import PriceList
from tests.support.billing import record
from tests.support.jobs import JobBook
from tests.support.stripe_server import KEY, StripeServer

pytestmark = pytest.mark.integration

# So dear that the sums of a test are above the credit of a new team.
DEAR = PriceList(recording=Decimal(6), transcription=Decimal("0.1"))
HOUR = 3600
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)


@dataclass
class Months:
    """Our clock and Stripe's, which go together."""

    book: JobBook
    payments: StripePayments
    reporter: MeterReporter
    stripe: stripe.StripeClient
    customer: str
    clock_id: str

    async def until(self, moment: datetime) -> None:
        self.book.clock.advance((moment - self.book.now).total_seconds())
        clocks = self.stripe.v1.test_helpers.test_clocks
        told = await clocks.advance_async(self.clock_id, {"frozen_time": int(moment.timestamp())})
        assert told.status == "advancing"
        assert (await clocks.retrieve_async(self.clock_id)).status == "ready"

    async def invoices(self) -> Sequence[Invoice]:
        return await self.payments.invoices(self.customer, limit=10, after=None)


@pytest.fixture
async def months(
    book: JobBook, payments: StripePayments, stripe_server: StripeServer
) -> AsyncIterator[Months]:
    customers = Customers(book.database, payments, book.clock, DEAR)
    reporter = MeterReporter(book.database, payments, customers, book.clock)
    account = await customers.ensure(book.team_id)
    http = stripe.HTTPXClient(timeout=10)
    client = stripe.StripeClient(
        KEY, http_client=http, base_addresses={"api": stripe_server.origin}
    )
    clock = await client.v1.test_helpers.test_clocks.create_async(
        {"frozen_time": int(book.now.timestamp()), "customer": str(account.customer_id)}
    )
    yield Months(book, payments, reporter, client, str(account.customer_id), clock.id)
    await http.close_async()  # type: ignore[no-untyped-call]


async def test_a_months_usage_is_on_the_invoice_of_that_month(months: Months) -> None:
    """Also what is told after midnight, while the invoice is open; credit is taken off first."""
    await record(months.book, HOUR, prices=DEAR)
    assert await months.reporter.drain() == Tally(sent=1)
    await months.until(JUNE.replace(month=5, day=31, hour=23, minute=50))
    await record(months.book, HOUR, prices=DEAR)
    await months.until(JUNE.replace(minute=20))
    (draft,) = await months.invoices()
    assert draft.status == "draft"
    assert await months.reporter.drain() == Tally(sent=1)
    await months.until(JUNE.replace(hour=2))
    (may,) = await months.invoices()
    assert (may.period_start, may.period_end) == (JUNE.replace(month=5), JUNE)
    assert (may.status, may.total_usd) == ("open", Decimal("7.00"))
    assert may.pdf_url is not None


async def test_usage_that_comes_too_late_is_on_the_next_invoice(months: Months) -> None:
    """BL-19: nothing is lost between two invoices, and nothing is on both."""
    await months.until(JUNE.replace(month=5, day=31, hour=23, minute=50))
    await record(months.book, HOUR, prices=DEAR)
    await months.until(JUNE.replace(hour=2))
    assert await months.reporter.drain() == Tally(sent=1)
    await record(months.book, HOUR, prices=DEAR)
    assert await months.reporter.drain() == Tally(sent=1)
    await months.until(JULY.replace(hour=2))
    june, may = await months.invoices()
    assert (may.status, may.total_usd) == ("paid", Decimal("0.00"))
    assert (june.period_start, june.period_end) == (JUNE, JULY)
    assert june.total_usd == Decimal("7.00")


async def test_a_clock_goes_forward_and_not_too_far(months: Months) -> None:
    """The replica refuses what Stripe refuses."""
    clocks = months.stripe.v1.test_helpers.test_clocks
    for moment in (months.book.now, datetime(2026, 9, 1, tzinfo=UTC)):
        with pytest.raises(stripe.InvalidRequestError, match="frozen_time"):
            await clocks.advance_async(months.clock_id, {"frozen_time": int(moment.timestamp())})
    with pytest.raises(stripe.InvalidRequestError, match="No such test clock"):
        await clocks.retrieve_async("clock_none")
