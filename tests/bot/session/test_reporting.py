"""Reports while the job store is away or slow (D10)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from bot.control import Progress, Report
from bot.reporting import Reporter
from core.clock import SystemClock
from core.errors import InvalidState, StaleAttempt, Unavailable
from core.jobs.lifecycle import Event
from tests.support.channel import MemoryChannel

pytestmark = pytest.mark.unit

PROGRESS = Progress(datetime(2026, 5, 9, tzinfo=UTC), 1.0, 1)


class LosesAnswers(MemoryChannel):
    """Takes a report, but its answer gets lost on the way, once."""

    lost = False

    async def report(self, report: Report) -> None:
        await super().report(report)
        if not self.lost:
            self.lost = True
            raise Unavailable("The connection broke.")


@pytest.fixture
def channel() -> MemoryChannel:
    return MemoryChannel()


@pytest.fixture
def reporter(channel: MemoryChannel) -> Reporter:
    return Reporter(channel, SystemClock())


async def test_events_wait_in_order_and_progress_is_dropped(
    channel: MemoryChannel, reporter: Reporter
) -> None:
    channel.trouble = Unavailable("The database is away.")
    await reporter.moved(Event.BOT_STARTED)
    await reporter.moved(Event.ADMITTED)
    await reporter.progress(PROGRESS)
    assert channel.reports == []
    channel.trouble = None
    assert await reporter.flush()
    assert channel.events == [Event.BOT_STARTED, Event.ADMITTED]
    assert channel.progress is None


async def test_an_event_whose_answer_was_lost_is_not_an_error(channel: MemoryChannel) -> None:
    channel = LosesAnswers()
    reporter = Reporter(channel, SystemClock())
    await reporter.moved(Event.BOT_STARTED)
    await reporter.moved(Event.ADMITTED)
    assert channel.events == [Event.BOT_STARTED, Event.ADMITTED]


async def test_an_event_that_the_job_cannot_take_is_an_error(reporter: Reporter) -> None:
    with pytest.raises(InvalidState):
        await reporter.moved(Event.MEDIA_CAPTURED)
    await reporter.moved(Event.BOT_STARTED)


async def test_an_outdated_attempt_is_remembered(
    channel: MemoryChannel, reporter: Reporter
) -> None:
    channel.outdated = True
    with pytest.raises(StaleAttempt):
        await reporter.moved(Event.BOT_STARTED)
    assert reporter.stale.is_set()


async def test_a_store_that_hangs_is_treated_as_away(
    channel: MemoryChannel, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.reporting.REPORT_TIMEOUT_SECONDS", 0.05)
    async with channel._changed:
        await asyncio.wait_for(reporter.moved(Event.BOT_STARTED), timeout=5)
        assert channel.reports == []
    assert await reporter.flush()
    assert channel.events == [Event.BOT_STARTED]
