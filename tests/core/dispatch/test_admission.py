"""Who may start: counted from our own rows, by declared cost (D11)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, delete

from core.database import Database
from core.dispatch import admission, workers
from core.dispatch.admission import COSTS, cost_of
from core.errors import RateLimited
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.spec import RecordingOptions
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

AUDIO = RecordingOptions(video="off")


@pytest.fixture
async def worker(book: JobBook, database: Database) -> None:
    """One worker with room for two bots that record audio."""
    async with database.begin() as session:
        await workers.report(session, "bots-1", 2 * COSTS["off"], now=book.now)


async def ask(book: JobBook, team_limit: int | None = None, **job: Any) -> Job:
    """Create a job as the API does; it is rolled back when it is refused."""
    new = await book.add(**({"recording": AUDIO} | job))
    async with book.database.begin() as session:
        await admission.check_start(session, new, team_limit=team_limit, now=book.now)
    return new


async def test_a_job_that_could_not_start_is_refused_with_when_to_come_back(
    book: JobBook, worker: None
) -> None:
    await ask(book)
    await ask(book)
    with pytest.raises(RateLimited, match="busy") as caught:
        await ask(book)
    assert caught.value.retry_after_seconds > 0


async def test_what_is_recorded_decides_what_it_costs(book: JobBook, worker: None) -> None:
    await ask(book)
    with pytest.raises(RateLimited):
        await ask(book, recording=RecordingOptions(video="tab"))


async def test_a_bot_dearer_than_everything_there_is_still_gets_its_turn(
    book: JobBook, worker: None
) -> None:
    await ask(book, recording=RecordingOptions(video="tab"))


async def test_a_killed_meeting_is_out_of_the_sum_when_its_lease_is_out(
    book: JobBook, worker: None
) -> None:
    """Nothing has to be given back after kill -9."""
    for _ in range(2):
        await book.bring_to(await ask(book), Status.RECORDING)
    with pytest.raises(RateLimited):
        await ask(book)
    await end_queued(book)
    book.clock.advance(11)
    await ask(book)


async def end_queued(book: JobBook) -> None:
    """The refused job was rolled back."""
    async with book.database.begin() as session:
        await session.exec(delete(Job).where(col(Job.status) == Status.QUEUED))


async def test_jobs_for_later_are_always_taken_and_count_when_they_are_due(
    book: JobBook, worker: None
) -> None:
    at = book.now + timedelta(minutes=5)
    for _ in range(3):
        await ask(book, join_at=at)
    await ask(book)
    book.clock.advance(4 * 60 + 30)
    await heard(book, "bots-1", 2 * COSTS["off"])
    with pytest.raises(RateLimited):
        await ask(book)


async def heard(book: JobBook, name: str, budget: float) -> None:
    async with book.database.begin() as session:
        await workers.report(session, name, budget, now=book.now)


async def test_where_no_worker_is_known_nothing_is_refused(book: JobBook) -> None:
    """The job waits for its run as it does while Prefect is away (D2)."""
    for _ in range(5):
        await ask(book)


async def test_every_worker_adds_what_it_has(book: JobBook, worker: None) -> None:
    await heard(book, "bots-2", COSTS["off"])
    for _ in range(3):
        await ask(book)
    # One that drains takes nothing more.
    await heard(book, "bots-2", 0)
    with pytest.raises(RateLimited):
        await ask(book)


async def test_a_team_has_no_more_meetings_than_it_may(book: JobBook) -> None:
    other = await JobBook.open(book.database, book.box, book.clock)
    await ask(other)
    await ask(book, team_limit=1)
    with pytest.raises(RateLimited, match="Your team"):
        await ask(book, team_limit=1)


async def test_a_worker_takes_what_fits_in_order(book: JobBook) -> None:
    live, first, dear, last = [
        (await book.add(recording=RecordingOptions(video=video))).id
        for video in ("off", "off", "tab", "off")
    ]

    async def fit(budget: float, *running: str) -> frozenset[str]:
        async with book.database.begin() as session:
            return await admission.fitting(session, running, [first, dear, last], budget)

    assert await fit(100, live) == {first, dear, last}
    # A cheap one does not overtake: the dear one would wait for ever.
    assert await fit(35, live) == {first}
    assert await fit(10, live) == frozenset()
    assert await fit(1) == {first}


def test_every_choice_of_video_has_a_cost() -> None:
    kinds = RecordingOptions.model_json_schema()["properties"]["video"]["enum"]
    assert set(COSTS) == set(kinds)
    assert cost_of({"video": "off"}) < cost_of({"video": "tab"})
    assert cost_of({"video": "tab"}, "simulated") < cost_of({"video": "off"})
    assert cost_of({}) == max(COSTS.values())
