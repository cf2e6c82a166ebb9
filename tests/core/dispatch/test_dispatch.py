"""Handing jobs over: in process, and to a Prefect that is not there."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from core.database import Database
from core.dispatch.inline import InlineDispatcher
from core.dispatch.prefect import PrefectDispatcher
from core.dispatch.submitting import due, planned, submit_job
from core.errors import Unavailable
from core.ids import new_id
from core.jobs import service
from core.settings import PrefectSettings
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.ports import free_port

pytestmark = pytest.mark.integration


async def test_inline_runs_each_job_once(clock: ManualClock) -> None:
    ran: list[str] = []

    async def run(job_id: str) -> None:
        ran.append(job_id)

    async with InlineDispatcher(run, clock) as dispatcher:
        first = await dispatcher.submit("job_1", clock.now(), [])
        assert await dispatcher.submit("job_1", clock.now(), []) == first
        await dispatcher.settled()
    assert ran == ["job_1"]


async def test_inline_waits_until_a_job_is_due_and_can_be_cancelled(clock: ManualClock) -> None:
    started = asyncio.Event()

    async def run(job_id: str) -> None:
        started.set()

    async with InlineDispatcher(run, clock) as dispatcher:
        later = clock.now() + timedelta(minutes=1)
        await dispatcher.submit("job_1", later, [])
        cancelled = await dispatcher.submit("job_2", later, [])
        await asyncio.sleep(0)
        await dispatcher.cancel(cancelled)
        assert not started.is_set()
        clock.advance(60)
        await asyncio.wait_for(started.wait(), 5)
        await dispatcher.settled()


async def test_submitting_notes_the_run(
    book: JobBook, database: Database, clock: ManualClock
) -> None:
    """AR-03."""

    async def run(job_id: str) -> None:
        return None

    job = await book.add()
    async with InlineDispatcher(run, clock) as dispatcher:
        await submit_job(database, dispatcher, job, lead_seconds=60, now=clock.now())
    assert (await book.read(job)).flow_run_id == f"inline-{job.id}"


async def test_a_job_cancelled_while_it_was_handed_over_has_its_run_cancelled(
    book: JobBook, database: Database, clock: ManualClock
) -> None:
    stopped = asyncio.Event()

    async def run(job_id: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    job = await book.add()
    async with InlineDispatcher(run, clock) as dispatcher:
        await dispatcher.submit(job.id, clock.now(), [])
        await asyncio.sleep(0)
        async with database.begin() as session:
            await service.request_cancel(session, job.id, now=clock.now())
        await submit_job(database, dispatcher, job, lead_seconds=60, now=clock.now())
        await asyncio.wait_for(stopped.wait(), 5)


async def test_a_run_starts_one_to_two_leads_ahead_but_never_in_the_past(
    book: JobBook, clock: ManualClock
) -> None:
    """D11, D24."""
    soon = await book.add(join_at=clock.now() + timedelta(seconds=30))
    assert due(soon, 60, clock.now()) == clock.now()
    for _ in range(5):
        later = await book.add(join_at=clock.now() + timedelta(seconds=300))
        ahead = clock.now() + timedelta(seconds=300) - due(later, 60, clock.now())
        assert timedelta(seconds=60) <= ahead <= timedelta(seconds=120)
        assert due(later, 60, clock.now()) == due(later, 60, clock.now())


def test_runs_of_one_minute_are_spread_over_the_lead(clock: ManualClock) -> None:
    """D11: not more than a Prefect server can start a second, where a thousand begin at once."""
    at = clock.now()
    starts = [(at - planned(new_id("job"), at, 60)).total_seconds() for _ in range(1000)]
    busiest = max(Counter(int(second) for second in starts).values())
    # Evenly spread it were 17 a second.
    assert busiest < 40


async def test_a_prefect_that_is_down_is_unavailable(
    book: JobBook, database: Database, clock: ManualClock
) -> None:
    job = await book.add()
    settings = PrefectSettings(port=free_port())
    async with PrefectDispatcher(settings) as dispatcher:
        with pytest.raises(Unavailable, match="Prefect") as caught:
            await submit_job(database, dispatcher, job, lead_seconds=60, now=clock.now())
        assert caught.value.retryable
        with pytest.raises(Unavailable):
            await dispatcher.cancel("8c2f3f3e-6d1b-4f60-9f53-0d3c44f3a0d1")
    assert (await book.read(job)).flow_run_id is None


async def test_a_closed_dispatcher_says_so() -> None:
    with pytest.raises(Unavailable, match="async with"):
        await PrefectDispatcher(PrefectSettings()).cancel("x")
