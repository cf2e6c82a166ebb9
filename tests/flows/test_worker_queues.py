"""What a worker takes on, what it leaves to others, and how it stops (D1, D11, D22)."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import Flow as FlowRow
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.states import Running, Scheduled
from prefect.workers.base import BaseJobConfiguration

from core.errors import Unavailable
from flows.forks import MeetingForks
from flows.worker import MeetingWorker, admit_all
from tests.flows.deaths import NotedDeaths

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

PROCESSES = multiprocessing.get_context("forkserver")


@dataclass
class Server:
    """Flows by name, runs by id, and the states that a worker set."""

    flows: dict[str, UUID] = field(default_factory=dict)
    runs: dict[UUID, FlowRun] = field(default_factory=dict)
    set_states: list[tuple[UUID, str | None]] = field(default_factory=list)

    def add(self, flow: str, due: datetime, state: State[Any] | None = None) -> FlowRun:
        name = f"job_{len(self.runs)}"
        run = FlowRun(
            id=uuid4(),
            flow_id=self.flows.setdefault(flow, uuid4()),
            name=name,
            parameters={"job_id": name},
            state=state or Scheduled(scheduled_time=due),
            expected_start_time=due,
            run_count=1,
        )
        self.runs[run.id] = run
        return run

    async def read_flow(self, flow_id: UUID) -> FlowRow:
        (name,) = [name for name, known in self.flows.items() if known == flow_id]
        return FlowRow(id=flow_id, name=name, labels={})

    async def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        return self.runs[flow_run_id]

    async def set_flow_run_state(
        self, flow_run_id: UUID, state: State[Any], force: bool = False
    ) -> None:
        self.set_states.append((flow_run_id, state.name))

    def moves(self, run: FlowRun) -> list[str | None]:
        return [name for run_id, name in self.set_states if run_id == run.id]


class Forks(MeetingForks):
    """Meetings that do nothing until they are ended."""

    def start(self, flow_run: FlowRun) -> BaseProcess:
        process = PROCESSES.Process(target=signal.pause, name=flow_run.name)
        process.start()
        return process


async def cancel(job_id: str) -> None:
    raise AssertionError(f"{job_id} is cancelled")


def worker_of(
    server: Server, admit: Any = admit_all, name: str = "bots-1", deaths: NotedDeaths | None = None
) -> MeetingWorker:
    worker = MeetingWorker(
        work_pool_name="meetings",
        name=name,
        forks=Forks(),
        cancel_job=cancel,
        deaths=deaths or NotedDeaths(),
        admit=admit,
    )
    worker._client = server  # type: ignore[assignment]
    return worker


async def chosen(worker: MeetingWorker, *runs: FlowRun) -> list[UUID]:
    entries = [
        WorkerFlowRunResponse.model_construct(
            work_pool_id=uuid4(), work_queue_id=uuid4(), flow_run=run
        )
        for run in runs
    ]
    return [entry.flow_run.id for entry in await worker._choose(entries)]


NOW = datetime.now(UTC)


def test_it_asks_for_the_urgent_queues_and_for_that_of_its_own_machine() -> None:
    worker = worker_of(Server(), name="bots-7")
    assert worker._work_queues == {"now", "scheduled", "housekeeping", "machine-bots-7"}
    assert worker.name == "bots-7"


async def test_housekeeping_that_piled_up_is_done_once() -> None:
    """After an hour without any worker there are hundreds of runs that all do the same."""
    server = Server()
    worker = worker_of(server)
    old = [server.add("reconcile", NOW - timedelta(seconds=10 * n)) for n in range(5)]
    other = server.add("deliver-webhooks", NOW - timedelta(seconds=3))
    coming = server.add("reconcile", datetime.now(UTC) + timedelta(minutes=1))
    assert await chosen(worker, *old, other, coming) == [old[0].id, other.id]
    assert [server.moves(run) for run in old] == [[]] + [["Cancelled"]] * 4
    assert server.moves(coming) == []
    assert await chosen(worker, coming) == [coming.id]


async def test_meetings_wait_for_a_worker_with_room() -> None:
    """D11: by their cost; what does not fit stays with Prefect for the next to ask."""
    server = Server()
    asked: list[tuple[list[str], list[str]]] = []

    async def admit(live: Collection[str], wanted: Sequence[str]) -> Collection[str]:
        asked.append(([*live], [*wanted]))
        return wanted[:1]

    worker = worker_of(server, admit)
    first, second = [server.add("meeting", NOW) for _ in range(2)]
    keeping = server.add("reconcile", NOW)
    uploads = server.add("uploads", NOW)
    assert await chosen(worker, first, second, keeping, uploads) == [
        first.id,
        keeping.id,
        uploads.id,
    ]
    assert asked == [([], [first.name, second.name])]


async def test_a_job_store_that_is_away_keeps_nobody_out() -> None:
    server = Server()

    async def admit(live: Collection[str], wanted: Sequence[str]) -> Collection[str]:
        raise Unavailable("The database did not answer.")

    run = server.add("meeting", NOW)
    assert await chosen(worker_of(server, admit), run) == [run.id]


@dataclass
class Busy:
    """A worker with one live meeting."""

    server: Server
    worker: MeetingWorker
    run: FlowRun
    process: BaseProcess
    task: asyncio.Task[Any]
    deaths: NotedDeaths


@pytest.fixture
async def busy() -> Any:
    server = Server()
    deaths = NotedDeaths()
    worker = worker_of(server, deaths=deaths)
    run = server.add("meeting", NOW, Running())
    task = asyncio.create_task(worker.run(run, BaseJobConfiguration()))
    async with asyncio.timeout(30):
        while not worker._live:
            await asyncio.sleep(0.01)
    process = worker._live[run.id]
    yield Busy(server, worker, run, process, task, deaths)
    process.kill()
    async with asyncio.timeout(20):
        await task


async def test_a_draining_worker_takes_nothing_more_at_once(busy: Busy) -> None:
    drained = asyncio.create_task(busy.worker.drain(60, asyncio.Event()))
    await asyncio.sleep(0)
    assert await busy.worker.get_and_submit_flow_runs() == []
    # What was fetched a moment before the signal is left, too.
    entry = WorkerFlowRunResponse.model_construct(
        work_pool_id=uuid4(), work_queue_id=uuid4(), flow_run=busy.server.add("meeting", NOW)
    )
    assert await busy.worker._submit_scheduled_flow_runs([entry]) == []
    assert not drained.done()
    assert busy.process.is_alive()
    busy.process.kill()
    async with asyncio.timeout(20):
        await drained


async def test_live_meetings_go_on_until_the_limit(busy: Busy) -> None:
    async with asyncio.timeout(20):
        await busy.worker.drain(0.05, asyncio.Event())
    assert busy.process.is_alive()


async def test_a_second_signal_ends_the_waiting(busy: Busy) -> None:
    hurry = asyncio.Event()
    drained = asyncio.create_task(busy.worker.drain(3600, hurry))
    await asyncio.sleep(0)
    hurry.set()
    async with asyncio.timeout(20):
        await drained
    assert busy.process.is_alive()


async def test_a_bot_that_is_not_in_its_room_yet_is_handed_to_another_worker(busy: Busy) -> None:
    """Its job must not end because this machine does: nobody is told to leave or cancels it."""

    async def not_inside(job_id: str) -> bool:
        assert job_id == busy.run.name
        return False

    async with asyncio.timeout(30):
        await busy.worker.stop_meetings(not_inside, 20)
    assert busy.process.exitcode == -signal.SIGKILL
    # Whoever watches leases schedules its run again; here the death is told.
    assert busy.deaths.told == [busy.run.parameters["job_id"]]
