"""What the worker makes of processes that end, and of cancels in the Prefect UI (D1, D4)."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.schemas.objects import Flow as FlowRow
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Cancelling, Completed, Running
from prefect.workers.base import BaseJobConfiguration

from flows import worker as worker_module
from flows.forks import MeetingForks
from flows.holding import Deaths, holder_name
from flows.worker import MeetingWorker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

# Cheap and clean children, that inherit nothing of the test's event loop.
PROCESSES = multiprocessing.get_context("forkserver")


@dataclass
class FakePrefect:
    """Keeps runs and their states as Prefect's API would."""

    runs: dict[UUID, FlowRun] = field(default_factory=dict)
    set_states: list[tuple[UUID, State[Any]]] = field(default_factory=list)
    down: bool = False

    def add(self, state: State[Any], run_count: int = 1) -> FlowRun:
        run = FlowRun(
            id=uuid4(),
            flow_id=uuid4(),
            name="job_1",
            parameters={"job_id": "job_1"},
            state=state,
            state_type=state.type,
            run_count=run_count,
        )
        self.runs[run.id] = run
        return run

    async def read_flow(self, flow_id: UUID) -> FlowRow:
        return FlowRow(id=flow_id, name="meeting", labels={})

    async def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        if self.down:
            raise ConnectionError("Prefect is away")
        return self.runs[flow_run_id]

    async def read_flow_runs(self, **_: Any) -> list[FlowRun]:
        if self.down:
            raise ConnectionError("Prefect is away")
        return list(self.runs.values())

    async def set_flow_run_state(
        self, flow_run_id: UUID, state: State[Any], force: bool = False
    ) -> None:
        assert force, "Prefect refuses a move out of a final state without it"
        self.set_states.append((flow_run_id, state))


class OneFork(MeetingForks):
    """Starts one given process instead of a meeting."""

    def __init__(self, process: BaseProcess) -> None:
        super().__init__()
        self._process = process

    def start(self, flow_run: FlowRun) -> BaseProcess:
        self._process.start()
        return self._process


@dataclass
class FakeDeaths(Deaths):
    """The job's side: `holder` has the lease (None: nobody took it); who was told dead."""

    prefect: FakePrefect
    holder: str | None = None
    told: list[str] = field(default_factory=list)

    async def concerns(self, job_id: str, holder: str) -> bool:
        return self.holder in (None, holder)

    async def tell(self, job_id: str, holder: str) -> None:
        states = [state.name for _, state in self.prefect.set_states]
        assert self.prefect.down or states[-1:] in ([], ["Crashed"]), "told before Prefect was"
        self.told.append(holder)


@dataclass
class Bench:
    """A worker whose Prefect is a fake, the jobs that it cancelled and the deaths it told."""

    prefect: FakePrefect
    deaths: FakeDeaths
    cancelled: list[str] = field(default_factory=list)

    def worker(self, process: BaseProcess) -> MeetingWorker:
        made = MeetingWorker(
            work_pool_name="meetings",
            forks=OneFork(process),
            cancel_job=self._cancel,
            deaths=self.deaths,
        )
        made._client = self.prefect  # type: ignore[assignment]
        return made

    async def _cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)


@pytest.fixture
def bench() -> Bench:
    prefect = FakePrefect()
    return Bench(prefect, FakeDeaths(prefect))


async def run(bench: Bench, flow_run: FlowRun, process: BaseProcess) -> None:
    await bench.worker(process).run(flow_run, BaseJobConfiguration())


def moves(bench: Bench) -> list[str | None]:
    return [state.name for _, state in bench.prefect.set_states]


async def test_a_process_that_ends_well_is_left_alone(bench: Bench) -> None:
    flow_run = bench.prefect.add(Completed())
    await run(bench, flow_run, PROCESSES.Process(target=os._exit, args=(0,)))
    assert moves(bench) == []


async def test_a_killed_process_is_crashed_and_its_lease_is_ended(bench: Bench) -> None:
    """The watcher schedules it again: there is one who does (D10)."""
    flow_run = bench.prefect.add(Running())
    killed = PROCESSES.Process(target=signal.raise_signal, args=(signal.SIGKILL,))
    await run(bench, flow_run, killed)
    assert moves(bench) == ["Crashed"]
    crashed = bench.prefect.set_states[0][1]
    assert crashed.message == "The meeting process died (SIGKILL)."
    assert bench.deaths.told == [holder_name(str(flow_run.id), killed.pid)]


async def test_a_death_while_prefect_is_away_is_told_all_the_same(bench: Bench) -> None:
    flow_run = bench.prefect.add(Running())
    worker = bench.worker(PROCESSES.Process(target=os._exit, args=(1,)))
    await worker._flow_name(flow_run)
    bench.prefect.down = True
    with pytest.raises(ConnectionError):
        await worker.run(flow_run, BaseJobConfiguration())
    assert len(bench.deaths.told) == 1


async def test_a_replaced_process_that_dies_changes_nothing(bench: Bench) -> None:
    """It was frozen and thought dead; another one works on the same run by now."""
    flow_run = bench.prefect.add(Running())
    bench.deaths.holder = holder_name(str(flow_run.id), 1)
    await run(bench, flow_run, PROCESSES.Process(target=os._exit, args=(1,)))
    assert moves(bench) == []
    assert bench.deaths.told == []


async def test_a_run_that_ended_before_its_process_died_stays_as_it_is(bench: Bench) -> None:
    flow_run = bench.prefect.add(Cancelled())
    await run(bench, flow_run, PROCESSES.Process(target=os._exit, args=(1,)))
    assert moves(bench) == []


@pytest.fixture
async def watched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[MeetingWorker, BaseProcess, FlowRun]]:
    """A worker with one live meeting, that looks for cancels in quick succession."""
    monkeypatch.setattr(worker_module, "CANCEL_POLL_SECONDS", 0.01)
    process = PROCESSES.Process(target=signal.pause)
    worker = bench.worker(process)
    flow_run = bench.prefect.add(Running())
    tasks = [
        asyncio.create_task(worker.run(flow_run, BaseJobConfiguration())),
        asyncio.create_task(worker.watch_cancellations()),
    ]
    async with asyncio.timeout(20):
        while not worker._live:
            await asyncio.sleep(0.01)
    yield worker, process, flow_run
    if process.is_alive():
        process.kill()
    await tasks[0]
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_cancel_in_the_ui_reaches_the_job_once(
    bench: Bench, watched: tuple[MeetingWorker, BaseProcess, FlowRun]
) -> None:
    """AR-13, and also when Prefect was away for a moment."""
    flow_run = watched[2]
    bench.prefect.down = True
    await asyncio.sleep(0.05)
    flow_run.state, flow_run.state_type = Cancelling(), StateType.CANCELLING
    assert bench.cancelled == []
    bench.prefect.down = False
    async with asyncio.timeout(10):
        while not bench.cancelled:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert bench.cancelled == ["job_1"]


async def test_a_worker_that_stops_asks_its_meetings_to_leave(
    watched: tuple[MeetingWorker, BaseProcess, FlowRun],
) -> None:
    worker, process, _ = watched
    told = []

    async def leave(job_id: str) -> bool:
        told.append(job_id)
        process.kill()
        return True

    async with asyncio.timeout(20):
        await worker.stop_meetings(leave, 15)
    assert told == ["job_1"]
    assert not process.is_alive()
    # Whatever is due now waits for the next worker.
    assert await worker.get_and_submit_flow_runs() == []


async def test_a_meeting_that_does_not_leave_in_time_is_killed_for_the_next_worker(
    bench: Bench,
    watched: tuple[MeetingWorker, BaseProcess, FlowRun],
) -> None:
    worker, process, _ = watched

    async def deaf(job_id: str) -> bool:
        """Hears nothing."""
        return True

    await worker.stop_meetings(deaf, 0.1)
    assert process.exitcode == -signal.SIGKILL
    assert moves(bench) == ["Crashed"]
    assert len(bench.deaths.told) == 1


async def test_housekeeping_does_not_take_the_workers_signals(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM must end the meetings in order, also in the middle of a drain (D22)."""
    handlers: list[object] = []

    @flow(name="housekeeping")
    async def look() -> None:
        """Never run by Prefect here; `_keep_house` is what is watched."""

    async def engine(*_: object, **__: object) -> None:
        handlers.append(signal.getsignal(signal.SIGTERM))
        with pytest.raises(ValueError, match="main thread"):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    monkeypatch.setattr(worker_module, "run_flow_async", engine)
    monkeypatch.setitem(worker_module.HOUSEKEEPING, "meeting", look)
    flow_run = bench.prefect.add(Running())
    await run(bench, flow_run, PROCESSES.Process(target=os._exit, args=(0,)))
    assert len(handlers) == 1
