"""The one recovery owner: a job whose lease is over gets another process, once (D10)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.database import LEASES_CHANNEL, Database
from core.dispatch.base import RunPhase
from core.errors import StaleAttempt
from core.jobs import leases, service
from core.jobs.failures import FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.secrets import SecretBox
from core.settings import Settings
from flows import watch as watch_module
from flows.watch import MOST_ATTEMPTS, MOST_STARTS, PATIENCE_SECONDS, Watcher
from tests.core.dispatch.runs import MemoryRuns
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

LEASE_SECONDS = 10


@dataclass
class Watch:
    """A watcher and what it watches."""

    book: JobBook
    runs: MemoryRuns
    watcher: Watcher

    @property
    def clock(self) -> ManualClock:
        return self.book.clock

    async def live(self, status: Status = Status.RECORDING) -> Job:
        """A job that a process works on."""
        job = await self.book.add()
        run_id = await self.runs.submit(job.id, self.book.now, [job.id])
        self.runs.put(run_id, RunPhase.ACTIVE)
        async with self.book.database.begin() as session:
            await service.set_flow_run(session, job.id, run_id, now=self.book.now)
        await self.book.bring_to(job, status)
        return await self.book.read(job)

    def run(self, job: Job, phase: RunPhase) -> None:
        self.runs.put(str(job.flow_run_id), phase)

    @property
    def restarted(self) -> list[str]:
        """The runs that were started again."""
        return [run_id for run_id, _ in self.runs.moved]

    async def renew(self, job: Job, fence: int = 1) -> None:
        async with self.book.database.begin() as session:
            await leases.renew_lease(
                session, job.id, fence, seconds=LEASE_SECONDS, now=self.book.now
            )

    async def dead(self, job: Job) -> None:
        """Let the lease run out under the watcher's eyes."""
        await self.watcher.look()
        self.clock.advance(LEASE_SECONDS)


@pytest.fixture
async def watch(database: Database, box: SecretBox, clock: ManualClock) -> Watch:
    runs = MemoryRuns(clock)
    watcher = Watcher(database, runs, clock, lease_seconds=LEASE_SECONDS)
    return Watch(await JobBook.open(database, box, clock), runs, watcher)


@pytest.mark.parametrize(
    "status", [Status.JOINING, Status.ENTERING_LOBBY, Status.RECORDING, Status.FINALIZING]
)
async def test_a_dead_process_gets_a_successor_once(watch: Watch, status: Status) -> None:
    job = await watch.live(status)
    await watch.dead(job)
    assert await watch.watcher.look() == 1
    assert watch.restarted == [job.flow_run_id]
    watch.clock.advance(5)
    assert await watch.watcher.look() == 0
    # The next attempt need not wait for a lease that nobody renews.
    assert await watch.book.take(job, "another-process") == 2


async def test_a_process_that_renews_is_never_disturbed(watch: Watch) -> None:
    job = await watch.live()
    for _ in range(20):
        assert await watch.watcher.look() == 0
        watch.clock.advance(LEASE_SECONDS / 3)
        await watch.renew(job)
    assert watch.restarted == []


async def test_a_watcher_that_has_just_come_waits_a_whole_lease(watch: Watch) -> None:
    """Its own clock counts: leases that ran out while nobody could renew them may be alive."""
    job = await watch.live()
    watch.clock.advance(600)
    assert await watch.watcher.look() == 0
    watch.clock.advance(LEASE_SECONDS - 1)
    assert await watch.watcher.look() == 0
    await watch.renew(job)
    watch.clock.advance(LEASE_SECONDS - 1)
    assert await watch.watcher.look() == 0


async def test_after_an_outage_of_the_database_every_lease_starts_anew(watch: Watch) -> None:
    await watch.live()
    await watch.watcher.look()
    watch.clock.advance(LEASE_SECONDS - 1)
    watch.watcher.forget()
    watch.clock.advance(LEASE_SECONDS)
    assert await watch.watcher.look() == 0
    watch.clock.advance(LEASE_SECONDS)
    assert await watch.watcher.look() == 1


async def test_a_death_that_was_seen_is_acted_on_at_once(watch: Watch, database: Database) -> None:
    job = await watch.live()
    await watch.watcher.look()
    async with database.begin() as session:
        await leases.expire_lease(session, job.id, "run-1")
    assert await watch.watcher.look() == 1


async def test_the_death_of_another_process_ends_no_lease(watch: Watch, database: Database) -> None:
    """A frozen process that dies after it was replaced."""
    job = await watch.live()
    await watch.watcher.look()
    async with database.begin() as session:
        await leases.expire_lease(session, job.id, "an-older-process")
    assert await watch.watcher.look() == 0
    await watch.renew(job)


async def test_the_watcher_is_woken_when_a_lease_is_ended(watch: Watch, database: Database) -> None:
    job = await watch.live()
    async with asyncio.timeout(10), aclosing(database.listen(LEASES_CHANNEL)) as notices:
        assert await anext(notices) == ""
        async with database.begin() as session:
            await leases.expire_lease(session, job.id, "run-1")
        assert await anext(notices) == job.id


async def test_a_frozen_process_that_wakes_up_is_outdated(watch: Watch) -> None:
    job = await watch.live()
    await watch.dead(job)
    await watch.watcher.look()
    await watch.book.take(job, "the-next-process")
    with pytest.raises(StaleAttempt):
        await watch.renew(job)


async def test_a_late_renewal_before_the_next_attempt_keeps_the_job(watch: Watch) -> None:
    job = await watch.live()
    await watch.dead(job)
    await watch.watcher.look()
    await watch.renew(job)
    watch.clock.advance(PATIENCE_SECONDS + 1)
    await watch.renew(job)
    assert await watch.watcher.look() == 0


async def test_prefect_away_is_tried_again(watch: Watch) -> None:
    job = await watch.live()
    await watch.dead(job)
    watch.runs.down = True
    assert await watch.watcher.look() == 0
    watch.runs.down = False
    assert await watch.watcher.look() == 1
    assert watch.restarted == [job.flow_run_id]


async def test_a_run_that_prefect_lost_is_made_again(watch: Watch) -> None:
    """D2."""
    job = await watch.live()
    await watch.dead(job)
    watch.runs.lose(str(job.flow_run_id))
    await watch.watcher.look()
    made = (await watch.book.read(job)).flow_run_id
    assert watch.runs.keys == {job.id: made}
    assert watch.runs.tags[str(made)] == (job.id, job.platform, job.team_id, job.source)
    assert watch.runs.runs[str(made)].phase is RunPhase.WAITING
    assert watch.restarted == []


async def test_a_run_that_waits_for_a_worker_is_left_alone(watch: Watch) -> None:
    """However long it waits: that a worker is offline means nothing."""
    job = await watch.live()
    await watch.dead(job)
    watch.run(job, RunPhase.WAITING)
    for _ in range(20):
        await watch.watcher.look()
        watch.clock.advance(PATIENCE_SECONDS)
    assert watch.restarted == []
    assert (await watch.book.read(job)).status is Status.RECORDING


@pytest.mark.parametrize("where", ["by the customer", "in the UI"])
async def test_a_job_cancelled_at_the_door_ends_as_cancelled(watch: Watch, where: str) -> None:
    job = await watch.live(Status.ENTERING_LOBBY)
    if where == "in the UI":
        watch.run(job, RunPhase.CANCELLED)
    else:
        async with watch.book.database.begin() as session:
            await service.request_cancel(session, job.id, now=watch.book.now)
    await watch.dead(job)
    await watch.watcher.look()
    assert (await watch.book.read(job)).status is Status.CANCELLED
    assert watch.restarted == []
    assert watch.runs.runs[str(job.flow_run_id)].phase is RunPhase.CANCELLED


async def test_a_job_cancelled_in_the_meeting_is_still_delivered(watch: Watch) -> None:
    """LC-13, AR-13."""
    job = await watch.live()
    watch.run(job, RunPhase.CANCELLED)
    await watch.dead(job)
    await watch.watcher.look()
    now = await watch.book.read(job)
    assert now.status is Status.RECORDING
    assert now.cancel_requested_at is not None
    assert watch.restarted == [job.flow_run_id]


async def test_a_job_is_given_up_after_so_many_attempts(watch: Watch) -> None:
    job = await watch.live()
    for _ in range(MOST_ATTEMPTS - 1):
        await watch.book.take(job)
    await watch.dead(job)
    await watch.watcher.look()
    now = await watch.book.read(job)
    assert (now.status, now.failure_code) == (Status.FAILED, FailureCode.INTERNAL_ERROR)
    assert now.billed is False
    ((failed, why),) = watch.runs.failed
    assert failed == job.flow_run_id
    assert why.startswith("internal_error: The bot's process died 8 times.")
    assert watch.restarted == []


async def test_starts_that_never_take_the_job_are_bounded(watch: Watch) -> None:
    job = await watch.live()
    await watch.dead(job)
    for _ in range(MOST_STARTS + 5):
        await watch.watcher.look()
        # It started, and died before it took the lease.
        watch.run(job, RunPhase.ENDED)
        watch.clock.advance(PATIENCE_SECONDS)
    assert len(watch.restarted) == MOST_STARTS
    assert (await watch.book.read(job)).status is Status.FAILED


async def test_jobs_that_are_over_or_not_begun_are_not_watched(watch: Watch) -> None:
    over = await watch.live()
    async with watch.book.database.begin() as session:
        job = await session.get_one(Job, over.id)
        job.status = Status.COMPLETED
    await watch.book.add()
    watch.clock.advance(60)
    await watch.watcher.look()
    watch.clock.advance(60)
    assert await watch.watcher.look() == 0


async def test_of_two_watchers_one_watches_and_the_other_takes_over(
    watch: Watch, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D10: each machine may run one."""
    monkeypatch.setattr(watch_module, "LOOK_SECONDS", 0.05)
    settings = Settings(data_dir=tmp_path)

    def start(runs: MemoryRuns) -> asyncio.Task[None]:
        watcher = Watcher(database, runs, SystemClock(), lease_seconds=0.2)
        return asyncio.create_task(
            watch_module._keep_watch(watcher, database, settings, SystemClock())
        )

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.02)

    first, second = watch.runs, MemoryRuns(watch.clock)
    tasks = [start(first)]
    await until(settings.watch_mark.exists)
    settings.watch_mark.unlink()
    tasks.append(start(second))
    await until(settings.watch_mark.exists)
    job = await watch.live()
    second.runs |= {str(job.flow_run_id): first.runs[str(job.flow_run_id)]}
    await until(lambda: watch.restarted == [job.flow_run_id])
    assert second.moved == []
    second.put(str(job.flow_run_id), RunPhase.ENDED)
    tasks[0].cancel()
    await until(lambda: len(second.moved) == 1)
    assert len(first.moved) == 1
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
