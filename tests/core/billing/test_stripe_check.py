"""Stripe's own sums against what it was told, by customer, meter and month (D15, BL-17 to 19)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from core.billing.audit import Audit
from core.billing.payments import NoPayments
from core.billing.reporting import MeterReporter, resend
from core.billing.stripe_check import SETTLING, check_stripe
from core.billing.stripe_client import StripePayments
from core.billing.stripe_models import MeterEvent
from core.errors import BadInput, NotFound, PaymentServiceError
from tests.support.billing import record
from tests.support.jobs import JobBook
from tests.support.stripe_server import StripeServer

pytestmark = pytest.mark.integration

DAY = timedelta(days=1).total_seconds()
Check = Callable[[], Awaitable[Audit]]


@pytest.fixture
def check(book: JobBook, payments: StripePayments) -> Check:
    async def found() -> Audit:
        audit = Audit(book.team_id)
        await check_stripe(book.database, payments, audit, now=book.now)
        return audit

    return found


@pytest.fixture
async def two_months(book: JobBook, reporter: MeterReporter) -> list[str]:
    """The identifiers of usage in May, with a transcript, and in June; all settled at Stripe."""
    may = await record(book, 600, transcribed=True)
    other = await record(book, 3600)
    await reporter.drain()
    book.clock.advance(30 * DAY)
    june = await record(book, 4253)
    await reporter.drain()
    book.clock.advance(SETTLING.total_seconds() + 1)
    return [may.id, other.id, june.id]


async def test_sums_that_agree_are_no_difference(check: Check, two_months: list[str]) -> None:
    found = await check()
    assert (len(two_months), found.differences) == (3, [])
    assert found.units_counted == {"recording_hours": 167 + 1000 + 1181, "transcription_hours": 167}


async def test_what_stripe_lost_is_named_in_its_month(
    check: Check, two_months: list[str], stripe_server: StripeServer
) -> None:
    lost = two_months[1]
    stripe_server.counted = [c for c in stripe_server.counted if c.identifier != lost]
    (difference,) = (await check()).differences
    assert difference.startswith("2026-05 recording_hours: Stripe counts 167 of ")
    assert f"told 1167; 1000 too few. It may be {lost} (1000)." in difference
    assert "bill resend" in difference


async def test_what_stripe_counts_twice_is_named_in_its_month(
    check: Check, two_months: list[str], stripe_server: StripeServer
) -> None:
    last = stripe_server.counted[-1]
    stripe_server.counted.append(replace(last, identifier="another"))
    (difference,) = (await check()).differences
    assert difference.startswith("2026-06 recording_hours: Stripe counts 2362 of ")
    assert f"1181 too many. It may be {two_months[2]} (1181)." in difference


async def test_what_nobody_told_stripe_is_a_difference(
    check: Check, two_months: list[str], stripe_server: StripeServer
) -> None:
    strange = replace(
        stripe_server.counted[-1], event_name="transcription_hours", identifier="another"
    )
    stripe_server.counted.append(strange)
    (difference,) = (await check()).differences
    assert "2026-06 transcription_hours" in difference
    assert "We told it nothing." in difference
    assert two_months


async def test_what_was_told_just_now_may_not_be_counted_yet(
    check: Check, book: JobBook, reporter: MeterReporter, stripe_server: StripeServer
) -> None:
    await record(book, 600)
    await reporter.drain()
    stripe_server.counted.clear()
    assert (await check()).differences == []
    book.clock.advance(SETTLING.total_seconds() + 1)
    assert len((await check()).differences) == 1


@pytest.mark.parametrize("counted", [True, False])
async def test_who_looked_at_stripe_settles_what_was_uncertain(
    check: Check,
    book: JobBook,
    reporter: MeterReporter,
    stripe_server: StripeServer,
    counted: bool,
) -> None:
    """Whichever it was, Stripe has it once in the end."""
    job = await record(book, 600)
    stripe_server.faults = [-500 if counted else 500]
    await reporter.drain()
    book.clock.advance(2 * DAY)
    await reporter.drain()
    assert (await check()).differences == [], "either is possible"
    async with book.database.begin() as session:
        assert (await session.get_one(MeterEvent, job.id)).uncertain
        await resend(session, job.id, counted=counted, unit="thousandths", now=book.now)
    await reporter.drain()
    book.clock.advance(SETTLING.total_seconds() + 1)
    assert (await check()).differences == []
    assert [c.value for c in stripe_server.counted] == [167]


async def test_only_what_stripe_may_lack_is_sent_again(book: JobBook) -> None:
    job = await record(book, 600)
    async with book.database.begin() as session:
        with pytest.raises(NotFound, match="job_none"):
            await resend(session, "job_none", counted=False, unit="thousandths", now=book.now)
        with pytest.raises(BadInput, match="on its way"):
            await resend(session, job.id, counted=False, unit="thousandths", now=book.now)
        (await session.get_one(MeterEvent, job.id)).skipped = True
        with pytest.raises(BadInput, match="owed to nobody"):
            await resend(session, job.id, counted=False, unit="thousandths", now=book.now)


async def test_without_stripe_nobody_is_asked_and_away_it_is_said(
    check: Check, book: JobBook, two_months: list[str], stripe_server: StripeServer
) -> None:
    audit = Audit(book.team_id)
    await check_stripe(book.database, NoPayments(), audit, now=book.now)
    assert (audit.units_counted, audit.differences) == ({}, [])
    stripe_server.down = True
    with pytest.raises(PaymentServiceError):
        await check()
    assert two_months
