"""The credit ledger: once per team, append-only, spent by usage (BL-11 to 14, BL-29)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from core.billing import credit
from core.billing.models import CreditEntry, UsageEvent
from core.database import Database
from core.errors import BadInput
from core.prices import PriceList
from tests.support.billing import record
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


async def remaining(book: JobBook) -> Decimal:
    async with book.database.begin() as session:
        return await credit.remaining(session, book.team_id)


async def test_a_team_starts_with_five_dollars_once(book: JobBook) -> None:
    """BL-11: also when it is granted again, twice at the same moment."""

    async def again() -> None:
        async with book.database.begin() as session:
            await credit.grant_signup_credit(session, book.team_id, now=book.now)

    await asyncio.gather(again(), again())
    async with book.database.begin() as session:
        (entry,) = (await session.exec(select(CreditEntry))).all()
    assert (entry.amount_usd, entry.team_id) == (Decimal("5.000"), book.team_id)


async def test_what_is_left_is_what_was_granted_less_what_was_billed(book: JobBook) -> None:
    """BL-12: recording and add-on both; more credit is added to it."""
    await record(book, 4253, transcribed=True)
    assert await remaining(book) == Decimal("5.000") - Decimal("0.354") - Decimal("0.118")
    async with book.database.begin() as session:
        await credit.grant(session, book.team_id, Decimal("20.00"), "pilot", now=book.now)
    assert await remaining(book) == Decimal("24.528")


async def test_test_runs_use_no_credit(book: JobBook) -> None:
    """BL-10."""
    await record(book, 600, livemode=False, transcribed=True)
    assert await remaining(book) == Decimal("5.000")


async def test_credit_below_zero_is_shown_as_nothing(book: JobBook) -> None:
    """BL-12, BL-24."""
    await record(book, 60_001)
    await record(book, 3600)
    left = await remaining(book)
    assert left == Decimal("-0.300")
    assert credit.shown(left) == 0
    assert credit.hours_for(left, Decimal("0.30")) == 0


@pytest.mark.parametrize("amount", ["0", "-1", "0.005"])
async def test_grants_are_whole_cents(book: JobBook, amount: str) -> None:
    with pytest.raises(BadInput, match="cents"):
        async with book.database.begin() as session:
            await credit.grant(session, book.team_id, Decimal(amount), "", now=book.now)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE credit_entries SET amount_usd = 500",
        "DELETE FROM credit_entries",
        "UPDATE usage_events SET amount_usd = 0",
        "DELETE FROM usage_events",
    ],
)
async def test_the_database_refuses_to_rewrite_money(
    book: JobBook, database: Database, statement: str
) -> None:
    """BL-02, BL-12: append-only, whoever writes."""
    await record(book, 600)
    with pytest.raises(DBAPIError, match="never changed"):
        async with database.begin() as session:
            await (await session.connection()).execute(text(statement))


async def test_free_hours_come_before_credit_and_start_anew_every_month(book: JobBook) -> None:
    """BL-14: the first hour is free, the one after it costs."""
    prices = PriceList(free_hours_per_month=Decimal(1))
    await record(book, 3000, prices=prices)
    assert await remaining(book) == Decimal("5.000")
    await record(book, 3000, prices=prices)
    async with book.database.begin() as session:
        events = list((await session.exec(select(UsageEvent).order_by(UsageEvent.id))).all())
    assert [(e.free_hours, e.hours_billed, e.amount_usd) for e in events] == [
        (Decimal("0.833"), Decimal("0.000"), Decimal("0.000")),
        (Decimal("0.167"), Decimal("0.666"), Decimal("0.200")),
    ]
    book.clock.advance(timedelta(days=31).total_seconds())
    before = await remaining(book)
    await record(book, 3600, prices=prices)
    assert await remaining(book) == before


async def test_free_hours_are_not_used_twice_by_jobs_that_end_at_once(book: JobBook) -> None:
    """BL-14."""
    prices = PriceList(free_hours_per_month=Decimal("0.5"))
    await asyncio.gather(*(record(book, 1800, prices=prices) for _ in range(4)))
    assert await remaining(book) == Decimal("5.000") - 3 * Decimal("0.150")


def test_five_dollars_are_shown_as_16_6_hours() -> None:
    """BL-29."""
    assert credit.hours_for(Decimal("5.000"), Decimal("0.30")) == Decimal("16.6")
