"""The warm worker (design.md D1): forks each meeting from a pre-imported fork server.

From creation of a run to the first line of the flow it takes 0.7 s and 37 MB, against 5-10 s and
81 MB of Prefect's process worker, which runs the same flow. Housekeeping flows are short and
hold no media; they run inside the worker.

What the worker settles: a run that is cancelled in the Prefect UI is passed on as a `cancel`
command, so that the meeting ends gracefully; a meeting process that died is marked Crashed, and its
lease is ended, so that the watcher (`flows/watch.py`) schedules the run again at once. A meeting
outlives the worker.

It is one of many: whatever it takes, Prefect gives to one of them. Only the queue of its own
machine is its alone; there, recordings wait whose files are here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from typing import Any, Final
from uuid import UUID

import anyio
import anyio.abc
import httpx
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.exceptions import ObjectAlreadyExists
from prefect.flow_engine import run_flow_async
from prefect.flows import Flow
from prefect.states import Cancelled, Crashed
from prefect.workers.base import (
    BaseJobConfiguration,
    BaseVariables,
    BaseWorker,
    BaseWorkerResult,
)

from core.dispatch.queues import QUEUE_PRIORITIES, machine_queue
from core.errors import MeetbotError
from flows.calendars import calendar_sync, calendar_sync_now
from flows.check_accounts import check_accounts
from flows.deliver_webhooks import deliver_webhooks
from flows.erase import erase
from flows.forks import MeetingForks, ended, exit_text
from flows.holding import Deaths, holder_name
from flows.horizon import horizon
from flows.reconcile import reconcile
from flows.resend_meter_events import resend_meter_events
from flows.resume_uploads import resume_uploads

log = logging.getLogger(__name__)

# How often the worker asks Prefect whether one of its live runs is being cancelled.
CANCEL_POLL_SECONDS: Final = 1.0
# How long a stopping worker may take to settle the runs whose processes it killed.
RECOVER_SECONDS: Final = 10

# Housekeeping flows that run, or wait for their time, at once.
HOUSEKEEPERS: Final = 4
HOUSEKEEPING: Final[dict[str, Flow[..., Any]]] = {
    flow.name: flow
    for flow in (
        calendar_sync,
        calendar_sync_now,
        check_accounts,
        deliver_webhooks,
        erase,
        horizon,
        reconcile,
        resend_meter_events,
        resume_uploads,
    )
}
MEETING: Final = "meeting"
UPLOADS: Final = "uploads"
TRANSCRIBE: Final = "transcribe"

CancelJob = Callable[[str], Coroutine[Any, Any, None]]
# Whether the bot was told; one that is not in the room yet is handed to another worker.
LeaveJob = Callable[[str], Coroutine[Any, Any, bool]]
# Of the jobs that run here and those that could, the ones for which there is room.
Admit = Callable[[Collection[str], Sequence[str]], Coroutine[Any, Any, Collection[str]]]


async def admit_all(_: Collection[str], wanted: Sequence[str]) -> Collection[str]:
    """For a worker without a budget."""
    return wanted


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
        admit: Admit = admit_all,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._work_queues = {*QUEUE_PRIORITIES, machine_queue(self.name)}
        # Set when runs are being taken.
        self.ready = asyncio.Event()
        self._cancel_job = cancel_job
        self._admit = admit
        self._forks = forks
        self._deaths = deaths
        self._live: dict[UUID, BaseProcess] = {}
        # The jobs of live runs, and processes that deliver what storage refused.
        self._jobs: dict[UUID, str] = {}
        self._uploads: set[BaseProcess] = set()
        # One for each live run, set when its end was settled with Prefect, too.
        self._settled: dict[UUID, asyncio.Event] = {}
        # Of its own: runs fetched ahead wait in these threads, and meetings are forked from others.
        self._keepers = ThreadPoolExecutor(HOUSEKEEPERS, thread_name_prefix="housekeeping")
        self._stopping = False
        self._has_queues = False
        self._flow_names: dict[UUID, str] = {}

    async def setup(self) -> None:
        await super().setup()
        with contextlib.suppress(httpx.HTTPError):
            await self._make_queues()
        self.ready.set()

    async def _make_queues(self) -> None:
        """Prefect hands out nothing at all to a worker that asks for a queue it does not have."""
        if self._has_queues:
            return
        for name in sorted(self._work_queues):
            with contextlib.suppress(ObjectAlreadyExists):
                await self.client.create_work_queue(
                    name=name,
                    priority=QUEUE_PRIORITIES.get(name, len(QUEUE_PRIORITIES) + 1),
                    work_pool_name=self._work_pool_name,
                )
        self._has_queues = True

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        # What comes while the worker stops is the next one's.
        if self._stopping:
            return []
        await self._make_queues()
        return await super().get_and_submit_flow_runs()

    async def _submit_scheduled_flow_runs(
        self, flow_run_response: list[WorkerFlowRunResponse]
    ) -> list[FlowRun]:
        fresh = [
            entry
            for entry in flow_run_response
            if entry.flow_run.id not in self._submitting_flow_run_ids
        ]
        if self._stopping or not fresh:
            return []
        return await super()._submit_scheduled_flow_runs(await self._choose(fresh))

    async def _choose(self, entries: list[WorkerFlowRunResponse]) -> list[WorkerFlowRunResponse]:
        """Meetings for which there is room, and of housekeeping that piled up only the newest."""
        meetings: list[FlowRun] = []
        piles: dict[UUID, list[FlowRun]] = defaultdict(list)
        for entry in entries:
            run = entry.flow_run
            name = await self._flow_name(run)
            if name == MEETING:
                meetings.append(run)
            elif name in HOUSEKEEPING:
                piles[run.flow_id].append(run)
        taken = {run.id for run in meetings} - await self._without_room(meetings)
        for pile in piles.values():
            pile.sort(key=lambda run: run.expected_start_time or datetime.max.replace(tzinfo=UTC))
            taken.add(await self._newest(pile))
        known = {run.id for run in meetings}.union(*({run.id for run in p} for p in piles.values()))
        return [e for e in entries if e.flow_run.id in taken or e.flow_run.id not in known]

    async def _without_room(self, meetings: Sequence[FlowRun]) -> set[UUID]:
        if not meetings:
            return set()
        jobs = {run.id: str(run.parameters.get("job_id")) for run in meetings}
        try:
            admitted = await self._admit([*self._jobs.values()], [*jobs.values()])
        except MeetbotError as error:
            log.warning("what there is room for is not known: %s", error.message)
            return set()
        return {run_id for run_id, job_id in jobs.items() if job_id not in admitted}

    async def _newest(self, pile: Sequence[FlowRun]) -> UUID:
        """The one to run; older ones that are due would only do the same once more."""
        due = [run for run in pile if (run.expected_start_time or _now()) <= _now()]
        for run in due[:-1]:
            skipped: State[Any] = Cancelled(message="A newer run does the same.")
            await self.client.set_flow_run_state(run.id, skipped, force=True)
        return due[-1].id if due else pile[0].id

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,  # noqa: ARG002 - Prefect's signature
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> BaseWorkerResult:
        name = await self._flow_name(flow_run)
        housekeeping = HOUSEKEEPING.get(name)
        if housekeeping is not None:
            if task_status is not None:
                task_status.started(str(flow_run.id))
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._keepers, _keep_house, housekeeping, flow_run)
            return BaseWorkerResult(status_code=0, identifier=str(flow_run.id))
        if name == UPLOADS:
            return await self._run_after_call(self._forks.start_uploads, flow_run, task_status)
        if name == TRANSCRIBE:
            return await self._run_transcript(flow_run, task_status)
        return await self._run_meeting(flow_run, task_status)

    async def _run_after_call(
        self,
        start: Callable[[FlowRun], BaseProcess],
        flow_run: FlowRun,
        task_status: anyio.abc.TaskStatus[Any] | None,
    ) -> BaseWorkerResult:
        """In a process of its own: it may have to transcribe."""
        process = await asyncio.to_thread(start, flow_run)
        self._uploads.add(process)
        if task_status is not None:
            task_status.started(str(process.pid))
        try:
            await ended(process)
        finally:
            self._uploads.discard(process)
        return BaseWorkerResult(status_code=process.exitcode or 0, identifier=str(process.pid))

    async def _run_transcript(
        self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[Any] | None
    ) -> BaseWorkerResult:
        start = self._forks.start_transcript
        result = await self._run_after_call(start, flow_run, task_status)
        if result.status_code != 0:
            try:
                await self._deaths.of_transcript(str(flow_run.parameters["request_id"]))
            except MeetbotError as error:
                log.warning("a dead transcript is noticed later: %s", error.message)
        return result

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
        self._jobs[flow_run.id] = str(flow_run.parameters.get("job_id"))
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
            del self._jobs[run_id]

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
        while True:
            await asyncio.sleep(CANCEL_POLL_SECONDS)
            passed_on &= self._live.keys()
            waiting = [run_id for run_id in self._live if run_id not in passed_on]
            if self._client is None or not waiting:
                continue
            try:
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

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """Take nothing more; let live meetings go on, for so long or until there is a hurry."""
        self._stopping = True
        settled = list(self._settled.values())
        if not settled or not seconds:
            return
        log.info("%d meetings go on for up to %.0f s", len(settled), seconds)
        waits = [asyncio.create_task(_all_set(settled, seconds)), asyncio.create_task(hurry.wait())]
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def stop_meetings(self, leave_job: LeaveJob, seconds: float) -> None:
        """End the live meetings of this worker: gracefully first, then by force.

        The run of a meeting that is killed is scheduled again by the watcher: the next worker
        takes it back into its meeting, or delivers its journal. A bot that is not in its room yet
        is killed at once, for another to go there.
        """
        self._stopping = True
        for process in self._uploads:
            process.terminate()
        live = dict(self._live)
        settled = list(self._settled.values())
        for run_id, process in live.items():
            told = True
            with contextlib.suppress(Exception):
                told = await leave_job(self._jobs[run_id])
            if not told:
                process.kill()
        if await _all_set(settled, seconds):
            return
        for process in live.values():
            if process.is_alive():
                log.warning("%s did not end in %.0f s; killing it", process.name, seconds)
                process.kill()
        if not await _all_set(settled, RECOVER_SECONDS):
            log.error("Prefect was not told of every meeting that was killed")


def _now() -> datetime:
    return datetime.now(UTC)


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
