"""Requests are counted for all processes together (API-85, CV-19)."""

from __future__ import annotations

import asyncio

import pytest
from sqlmodel import select

from core import rate_limits
from core.database import Database
from core.errors import RateLimited
from core.rate_limits import RateWindow
from tests.support.clock import ManualClock

pytestmark = pytest.mark.integration


async def allowed(
    database: Database, clock: ManualClock, subject: str = "a", limit: int = 60
) -> int | None:
    """None, or after how many seconds to come back."""
    try:
        async with database.begin() as session:
            await rate_limits.take(session, subject, limit, now=clock.now())
    except RateLimited as error:
        return error.retry_after_seconds
    return None


async def test_the_sixty_first_in_a_minute_is_refused(
    database: Database, clock: ManualClock
) -> None:
    """However they are spread over it."""
    for _ in range(60):
        assert await allowed(database, clock) is None
        clock.advance(0.9)
    assert await allowed(database, clock) is not None
    assert await allowed(database, clock, "b") is None


async def test_whoever_comes_back_when_told_is_let_in(
    database: Database, clock: ManualClock
) -> None:
    for _ in range(40):
        while (wait := await allowed(database, clock, limit=7)) is not None:
            assert wait >= 1
            clock.advance(wait - 1)
            assert wait == 1 or await allowed(database, clock, limit=7) is not None
            clock.advance(1)


async def test_refused_requests_do_not_count(database: Database, clock: ManualClock) -> None:
    for _ in range(60):
        await allowed(database, clock)
    for _ in range(100):
        assert await allowed(database, clock) is not None
    async with database.begin() as session:
        assert (await session.exec(select(RateWindow.count))).one() == 60
    clock.advance(121)
    for _ in range(60):
        assert await allowed(database, clock) is None


async def test_many_at_once_are_counted_exactly(database: Database, clock: ManualClock) -> None:
    outcomes = await asyncio.gather(*(allowed(database, clock, limit=6) for _ in range(10)))
    assert sum(outcome is None for outcome in outcomes) == 6


async def test_old_counters_are_removed(database: Database, clock: ManualClock) -> None:
    await allowed(database, clock)
    clock.advance(7_201)
    async with database.begin() as session:
        await rate_limits.forget_windows(session, now=clock.now())
        assert (await session.exec(select(RateWindow))).all() == []
