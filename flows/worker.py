"""The warm worker (design.md D1): forks each meeting from a pre-imported fork server.

From creation of a run to the first line of the flow it takes 0.7 s and 37 MB, against 5-10 s and
81 MB of Prefect's process worker, which runs the same flow. Housekeeping flows are short and
hold no media; they run inside the worker.

What the worker settles: a run that is cancelled in the Prefect UI is passed on as a `cancel`
command, so that the meeting ends gracefully; a meeting process that died is marked Crashed, and its
lease is ended, so that the watcher (`flows/watch.py`) schedules the run again at once. A meeting
outlives the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from typing import Any, Final
from uuid import UUID

import anyio
import anyio.abc
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.flow_engine import run_flow_async
from prefect.flows import Flow
from prefect.states import Crashed
from prefect.workers.base import (
    BaseJobConfiguration,
    BaseVariables,
    BaseWorker,
    BaseWorkerResult,
)

from flows.deliver_webhooks import deliver_webhooks
from flows.forks import MeetingForks, ended, exit_text
from flows.holding import Deaths, holder_name

log = logging.getLogger(__name__)

# How often the worker asks Prefect whether one of its live runs is being cancelled.
CANCEL_POLL_SECONDS: Final = 1.0
# Every how many rounds, and how far back, it looks for runs cancelled before they started.
LOOK_BACK_EVERY: Final = 5
CANCELLED_LATELY_SECONDS: Final = 600
# How long a stopping worker may take to settle the runs whose processes it killed.
RECOVER_SECONDS: Final = 10

HOUSEKEEPING: Final[dict[str, Flow[..., Any]]] = {deliver_webhooks.name: deliver_webhooks}

CancelJob = Callable[[str], Coroutine[Any, Any, None]]


class MeetingWorker(
    BaseWorker[BaseJobConfiguration, BaseVariables, BaseWorkerResult],
):
    """Runs the flow runs of one Prefect work pool; see the module's docstring."""

    type = "meetbot"
    job_configuration = BaseJobConfiguration
    _description = "Forks each meeting from a warm, pre-imported process."

    def __init__(
        self,
        *args: Any,
        forks: MeetingForks,
        cancel_job: CancelJob,
        deaths: Deaths,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # Set when runs are being taken.
        self.ready = asyncio.Event()
        self._cancel_job = cancel_job
        self._forks = forks
        self._deaths = deaths
        self._live: dict[UUID, BaseProcess] = {}
        # One for each live run, set when its end was settled with Prefect, too.
        self._settled: dict[UUID, asyncio.Event] = {}
        self._stopping = False
        self._flow_names: dict[UUID, str] = {}
        # Runs that never started and whose jobs were ended; kept for a look back's time only.
        self._ended: set[UUID] = set()

    async def setup(self) -> None:
        await super().setup()
        self.ready.set()

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        # What comes while the worker stops is the next one's.
        return [] if self._stopping else await super().get_and_submit_flow_runs()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,  # noqa: ARG002 - Prefect's signature
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> BaseWorkerResult:
        housekeeping = HOUSEKEEPING.get(await self._flow_name(flow_run))
        if housekeeping is not None:
            if task_status is not None:
                task_status.started(str(flow_run.id))
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, _keep_house, housekeeping, flow_run)
            return BaseWorkerResult(status_code=0, identifier=str(flow_run.id))
        return await self._run_meeting(flow_run, task_status)

    async def _flow_name(self, flow_run: FlowRun) -> str:
        if flow_run.flow_id not in self._flow_names:
            flow = await self.client.read_flow(flow_run.flow_id)
            self._flow_names[flow_run.flow_id] = flow.name
        return self._flow_names[flow_run.flow_id]

    async def _run_meeting(
        self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[Any] | None
    ) -> BaseWorkerResult:
        process = await asyncio.to_thread(self._forks.start, flow_run)
        self._live[flow_run.id] = process
        settled = self._settled[flow_run.id] = asyncio.Event()
        if task_status is not None:
            task_status.started(str(process.pid))
        try:
            await ended(process)
            self._forget(flow_run.id, process)
            if process.exitcode != 0:
                await self._recover(flow_run, process)
        finally:
            self._forget(flow_run.id, process)
            if self._settled.get(flow_run.id) is settled:
                del self._settled[flow_run.id]
            settled.set()
        # A crash has been settled above; the stock handling would only repeat it.
        return BaseWorkerResult(status_code=0, identifier=str(process.pid))

    def _forget(self, run_id: UUID, process: BaseProcess) -> None:
        """The run may have another process by now: this one was frozen, and thought dead."""
        if self._live.get(run_id) is process:
            del self._live[run_id]

    async def _recover(self, flow_run: FlowRun, process: BaseProcess) -> None:
        """Mark the run of a process that died, and hand its job to who watches leases."""
        job_id = str(flow_run.parameters["job_id"])
        holder = holder_name(str(flow_run.id), process.pid)
        if not await self._deaths.concerns(job_id, holder):
            return
        try:
            current = await self.client.read_flow_run(flow_run.id)
            if current.state is None or not current.state.is_final():
                message = f"The meeting process died ({exit_text(process.exitcode)})."
                crashed: State[Any] = Crashed(message=message)
                await self.client.set_flow_run_state(flow_run.id, crashed, force=True)
        finally:
            # Also when Prefect is away: the job is the truth, the run follows.
            await self._deaths.tell(job_id, holder)

    async def watch_cancellations(self) -> None:
        """Pass cancels from the Prefect UI on to live meetings; runs until cancelled."""
        passed_on: set[UUID] = set()
        for turn in itertools.count():
            await asyncio.sleep(CANCEL_POLL_SECONDS)
            passed_on &= self._live.keys()
            waiting = [run_id for run_id in self._live if run_id not in passed_on]
            if self._client is None:
                continue
            try:
                if turn % LOOK_BACK_EVERY == 0:
                    await self._end_never_started()
                if not waiting:
                    continue
                runs = await self.client.read_flow_runs(
                    flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=waiting))
                )
                for run in runs:
                    if run.state_type == StateType.CANCELLING:
                        await self._cancel_job(str(run.parameters["job_id"]))
                        passed_on.add(run.id)
            except Exception:
                # Prefect or the database is away for a moment; the next round asks again.
                log.warning("could not look for cancelled runs", exc_info=True)

    async def _end_never_started(self) -> None:
        """End jobs whose run was cancelled in the Prefect UI before any worker took it."""
        lately = datetime.now(UTC) - timedelta(seconds=CANCELLED_LATELY_SECONDS)
        runs = await self.client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["meeting"])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLED])),
                end_time=FlowRunFilterEndTime(after_=lately),
            ),
        )
        for run in runs:
            if run.run_count == 0 and run.id not in self._ended:
                await self._cancel_job(str(run.parameters["job_id"]))
                self._ended.add(run.id)

    async def stop_meetings(self, leave_job: CancelJob, seconds: float) -> None:
        """End the live meetings of this worker: gracefully first, then by force.

        The run of a meeting that is killed is scheduled again by the watcher: the next worker
        takes it back into its meeting, or delivers its journal.
        """
        self._stopping = True
        live = dict(self._live)
        settled = list(self._settled.values())
        for run_id in live:
            with contextlib.suppress(Exception):
                run = await self.client.read_flow_run(run_id)
                await leave_job(str(run.parameters["job_id"]))
        if await _all_set(settled, seconds):
            return
        for process in live.values():
            if process.is_alive():
                log.warning("%s did not end in %.0f s; killing it", process.name, seconds)
                process.kill()
        if not await _all_set(settled, RECOVER_SECONDS):
            log.error("Prefect was not told of every meeting that was killed")


async def _all_set(events: Sequence[asyncio.Event], seconds: float) -> bool:
    """Whether all of them are set within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            for event in events:
                await event.wait()
    except TimeoutError:
        return False
    return True


def _keep_house(flow: Flow[..., Any], flow_run: FlowRun) -> None:
    """Run a short flow in this thread.

    In the main thread Prefect's engine takes SIGTERM over while a flow runs: the worker would die
    of it instead of ending its meetings.
    """
    asyncio.run(run_flow_async(flow, flow_run=flow_run, return_type="state"))
