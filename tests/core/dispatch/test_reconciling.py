"""Jobs whose flow run is missing, lost, late or over are repaired (D2, AR-03, AR-08, AR-12)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from core.database import Database
from core.dispatch import reconciling
from core.dispatch.base import RunPhase
from core.dispatch.reconciling import MAX_STARTS, Reconciler, Tally
from core.dispatch.submitting import planned, submit_job
from core.errors import Unavailable
from core.jobs import service
from core.jobs.failures import FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from tests.core.dispatch.runs import MemoryRuns
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

LEAD = 60.0
HOUR = timedelta(hours=1)


@dataclass
class Desk:
    """A job store, the runs of its jobs, and rounds of repair."""

    book: JobBook
    database: Database
    clock: ManualClock
    runs: MemoryRuns

    async def round(self, number: int = 0) -> Tally:
        reconciler = Reconciler(self.database, self.runs, self.clock, lead_seconds=LEAD)
        return await reconciler.round(number)

    async def submitted(self, join_at: datetime | None = None) -> tuple[Job, str]:
        """A job with its run, old enough to be looked at."""
        job = await self.book.add(join_at=join_at)
        await submit_job(self.database, self.runs, job, lead_seconds=LEAD, now=self.clock.now())
        self.clock.advance(6)
        job = await self.book.read(job)
        assert job.flow_run_id is not None
        return job, job.flow_run_id


@pytest.fixture
def desk(book: JobBook, database: Database, clock: ManualClock) -> Desk:
    return Desk(book, database, clock, MemoryRuns(clock))


async def test_a_missing_run_is_made_once_its_row_is_old_enough(desk: Desk) -> None:
    """What has a run, a bot or an end is left alone."""
    lost, taken, over = [await desk.book.add() for _ in range(3)]
    await desk.book.bring_to(taken, Status.JOINING)
    async with desk.database.begin() as session:
        await service.request_cancel(session, over.id, now=desk.clock.now())
    assert await desk.round() == Tally()
    desk.clock.advance(6)
    assert await desk.round() == Tally(made=1)
    assert await desk.round() == Tally()
    assert list(desk.runs.keys) == [lost.id]


async def test_a_dispatcher_that_is_away_is_waited_out(desk: Desk) -> None:
    """The job was accepted while Prefect was down; nothing is lost, nothing is made twice."""
    desk.runs.down = True
    job = await desk.book.add(join_at=desk.clock.now() + HOUR)
    desk.clock.advance(6)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await desk.round()
    assert (await desk.book.read(job)).flow_run_id is None
    desk.runs.down = False
    assert await desk.round() == Tally(made=1)
    (run,) = desk.runs.runs.values()
    assert job.join_at is not None
    assert run.due == planned(job.id, job.join_at, LEAD)


async def test_a_run_that_prefect_has_lost_is_made_again(desk: Desk) -> None:
    job, run_id = await desk.submitted(desk.clock.now() + HOUR)
    desk.runs.lose(run_id)
    assert await desk.round() == Tally(made=1)
    again = (await desk.book.read(job)).flow_run_id
    assert again is not None
    assert list(desk.runs.runs) == [again]
    assert await desk.round() == Tally()


@pytest.mark.parametrize("shift", [-1200, 1200])
async def test_a_run_follows_a_meeting_that_was_moved(desk: Desk, shift: int) -> None:
    """AR-08: planned for what `joinAt` says now."""
    job, run_id = await desk.submitted(desk.clock.now() + HOUR)
    assert job.join_at is not None
    join_at = job.join_at + timedelta(seconds=shift)
    async with desk.database.begin() as session:
        (await session.get_one(Job, job.id)).join_at = join_at
    assert await desk.round() == Tally(moved=1)
    assert desk.runs.runs[run_id].due == planned(job.id, join_at, LEAD)
    assert await desk.round() == Tally()


async def test_a_run_that_waits_for_a_worker_is_not_put_off(desk: Desk) -> None:
    """Its time has come; moving it to now in every round would keep it from ever starting."""
    _, run_id = await desk.submitted()
    due = desk.runs.runs[run_id].due
    desk.clock.advance(300)
    assert await desk.round() == Tally()
    assert desk.runs.runs[run_id].due == due


async def test_a_run_that_ended_without_taking_its_job_is_started_again(desk: Desk) -> None:
    """Not at once: whoever saw it end may be doing just that."""
    _, run_id = await desk.submitted()
    desk.runs.put(run_id, RunPhase.ENDED, starts=1)
    assert await desk.round() == Tally()
    desk.clock.advance(11)
    assert await desk.round() == Tally(moved=1)
    assert desk.runs.runs[run_id].phase is RunPhase.WAITING


async def test_a_run_that_never_gets_to_its_job_ends_it(desk: Desk) -> None:
    """AR-12: no job stays open for ever."""
    job, run_id = await desk.submitted()
    desk.runs.put(run_id, RunPhase.ENDED, starts=MAX_STARTS)
    desk.clock.advance(11)
    assert await desk.round() == Tally(ended=1)
    ended = await desk.book.read(job)
    assert (ended.status, ended.failure_code) == (Status.FAILED, FailureCode.DISPATCH_TIMEOUT)
    assert await desk.round() == Tally()


async def test_a_run_cancelled_before_it_started_cancels_its_job(desk: Desk) -> None:
    """AR-13, however long ago that was."""
    job, run_id = await desk.submitted(desk.clock.now() + HOUR)
    desk.runs.put(run_id, RunPhase.CANCELLED)
    desk.clock.advance(1800)
    assert await desk.round() == Tally(ended=1)
    assert (await desk.book.read(job)).status is Status.CANCELLED


async def test_a_run_in_the_hands_of_a_process_is_left_alone(desk: Desk) -> None:
    _, run_id = await desk.submitted()
    desk.runs.put(run_id, RunPhase.ACTIVE, starts=1)
    desk.clock.advance(600)
    assert await desk.round() == Tally()


async def test_runs_far_ahead_are_looked_at_page_by_page(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year of scheduled jobs does not make every round longer; each has its turn."""
    monkeypatch.setattr(reconciling, "PAGE", 2)
    far = [await desk.submitted(desk.clock.now() + 10 * HOUR) for _ in range(5)]
    for _, run_id in far:
        desk.runs.put(run_id, RunPhase.CANCELLED)
    ended = [(await desk.round(0)).ended for _ in range(3)]
    assert ended == [2, 2, 1]
    desk.runs.looked_at.clear()
    await desk.round(1)
    assert desk.runs.looked_at == [0]
