"""One meeting, one flow run: from `queued` to a terminal status.

The stages are tasks with the names that people see in the Prefect UI. They skip by our rows and
our journal, never by Prefect's cache, so the run may be lost, repeated or resumed at any time.
Parameters, results and logs carry ids only (AR-09).
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import Abort
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Completed, Failed
from prefect.tasks import Task, exponential_backoff

from core.errors import JobHeld, MeetbotError, StaleAttempt, StorageError, TranscriptionError
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.settings import Settings
from flows import telling
from flows.holding import holder_name, run_of
from flows.live_view import LiveView
from flows.patience import answered
from flows.resources import Resources, open_resources
from flows.run import MeetingRun

log = logging.getLogger(__name__)

# The run that the tasks of this flow work on; a live session cannot be a task parameter.
_run: ContextVar[MeetingRun] = ContextVar("meeting_run")

# One hard attempt and two more (LC-09).
JOIN_RETRIES: Final = 2
# Storage that is away longer than these take is waited for without this process (D9).
UPLOAD_RETRIES: Final = 2
POSTPONED: Final = "Storage does not take the recording; `resume-uploads` goes on with it. {}"


async def worth_retrying(_task: Task[..., Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Whether the error that a task ended with says that it may pass."""
    try:
        await state.aresult()
    except MeetbotError as error:
        return error.retryable
    except Exception:  # noqa: BLE001 - what nobody raised on purpose is not repeated
        return False
    return False


@task(
    cache_policy=NO_CACHE,
    timeout_seconds=60,
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=worth_retrying,
)
async def dispatch(job_id: str) -> str:
    """Take the job's lease and start its bot."""
    await _run.get().dispatch()
    return job_id


@task(
    cache_policy=NO_CACHE,
    retries=JOIN_RETRIES,
    retry_delay_seconds=[2, 5],
    retry_condition_fn=worth_retrying,
)
async def join(job_id: str) -> str:
    """Get into the room, through the lobby where there is one."""
    run = _run.get()
    await run.join()
    get_run_logger().info(telling.entered(run.outcome, run.delivers))
    return job_id


@task(cache_policy=NO_CACHE)
async def capture(job_id: str) -> str:
    """Record until the meeting ends or the bot leaves."""
    run = _run.get()
    await run.capture()
    get_run_logger().info(telling.left(run.outcome))
    return job_id


@task(cache_policy=NO_CACHE, retries=1, retry_delay_seconds=1, retry_condition_fn=worth_retrying)
async def finalize(job_id: str) -> str:
    """Make the final files from the journal."""
    run = _run.get()
    await run.finalize()
    get_run_logger().info(telling.finalized(run.outcome))
    return job_id


@task(
    cache_policy=NO_CACHE,
    retries=UPLOAD_RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.2,
    retry_condition_fn=worth_retrying,
)
async def upload(job_id: str) -> str:
    """Put the files into the bucket and verify each of them there."""
    run = _run.get()
    await run.upload()
    get_run_logger().info(telling.uploaded(run.outcome.recording))
    return job_id


@task(
    cache_policy=NO_CACHE,
    retries=UPLOAD_RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_condition_fn=worth_retrying,
)
async def transcribe(job_id: str) -> str:
    """Transcribe where asked for, and write the manifest."""
    run = _run.get()
    await run.transcribe()
    get_run_logger().info(telling.handed_over(run.outcome))
    return job_id


@task(
    cache_policy=NO_CACHE,
    retries=5,
    retry_delay_seconds=exponential_backoff(backoff_factor=1),
    retry_condition_fn=worth_retrying,
)
async def meter(job_id: str) -> str:
    """End the job: terminal status, one usage event, the last webhooks."""
    run = _run.get()
    await run.meter()
    if run.outcome.evidence:
        shown = ", ".join(file.uri for file in run.outcome.evidence)
        get_run_logger().warning("What the meeting's page showed is kept: %s", shown)
    return job_id


@task(cache_policy=NO_CACHE, retries=1, retry_delay_seconds=2)
async def notify(job_id: str) -> str:
    """Send every webhook of the job once; retries are the delivery schedule's."""
    await _run.get().notify()
    return job_id


@flow(name="meeting", flow_run_name="{job_id}", validate_parameters=True)
async def meeting(job_id: str) -> State[Any]:
    """Take one job from `queued` to a terminal status."""
    async with (
        open_resources() as resources,
        MeetingRun(resources, job_id, holder=_holder()) as run,
        LiveView(resources, run) as view,
    ):
        _run.set(run)
        try:
            return await _take_to_the_end(job_id, run, view, resources.settings)
        except (JobHeld, StaleAttempt) as error:
            await _step_aside(job_id, resources, error)
            return Cancelled(message=f"Another run has the job: {error.message}")


async def _take_to_the_end(
    job_id: str, run: MeetingRun, view: LiveView, settings: Settings
) -> State[Any]:
    began = datetime.now(UTC)
    try:
        await dispatch(job_id)
        if (runtime.flow_run.run_count or 1) > 1:
            view.bury(UUID(str(runtime.flow_run.id)), began)
        if run.over:
            return Completed(message=f"The job was already {run.status}.")
        await _attend(job_id, run)
        if run.delivers:
            await _deliver(job_id, settings.storage.first_retry_seconds)
    except (JobHeld, StaleAttempt):
        raise
    except StorageError as error:
        if await run.postpone(error):
            await view.conclude()
            return Completed(name="Postponed", message=POSTPONED.format(error.message))
        run.outcome.fail(error)
    except Exception as error:  # noqa: BLE001 - whatever it was, the job must end
        run.outcome.fail(error)
    await meter(job_id)
    try:
        await notify(job_id)
    except MeetbotError as error:
        # The drain goes on with what is left; the job has ended (WH-26).
        log.warning("webhooks wait for the drain: %s", error.message)
    await view.conclude()
    return _state(run)


async def _step_aside(job_id: str, resources: Resources, error: MeetbotError) -> None:
    """Another process of this same run has the job: its state is that one's to tell.

    Raises:
        Abort: so; Prefect is told nothing of this process's end.
    """

    async def read() -> Job:
        async with resources.database.begin() as session:
            return await session.get_one(Job, job_id)

    job = await answered(resources.clock, read)
    ours = str(runtime.flow_run.id)
    if job.flow_run_id == ours and run_of(job.lease_holder) == ours:
        log.warning("%s: this process ends without a word: %s", job_id, error.message)
        raise Abort(error.message)


async def _attend(job_id: str, run: MeetingRun) -> None:
    """Into the room, and there until the end."""
    await join(job_id)
    if run.outcome.cancelled:
        return
    try:
        await capture(job_id)
    except StaleAttempt:
        raise
    except MeetbotError as error:
        # What was recorded until now is delivered.
        run.outcome.fail(error)


async def _deliver(job_id: str, first_retry_seconds: float) -> None:
    await finalize(job_id)
    delays = exponential_backoff(backoff_factor=first_retry_seconds)
    await upload.with_options(retry_delay_seconds=delays)(job_id)
    try:
        await transcribe.with_options(retry_delay_seconds=delays)(job_id)
    except TranscriptionError as error:
        # A recording without its transcript is still a recording.
        log.warning("delivered without a transcript: %s", error.message)


def _holder() -> str:
    """Who holds the lease: this process of this flow run."""
    return holder_name(str(runtime.flow_run.id or "inline"))


def _state(run: MeetingRun) -> State[Any]:
    failure = run.outcome.failure
    match run.status:
        case Status.CANCELLED:
            return Cancelled(message="Cancelled; what was recorded was delivered.")
        case Status.FAILED if failure is not None:
            return Failed(message=f"{failure.failure}: {failure.message}")
        case _:
            return Completed(message=f"The job is {run.status}.")
