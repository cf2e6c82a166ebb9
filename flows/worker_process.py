"""The worker as a process: takes runs until it is told to stop, then ends its meetings."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from core.clock import Clock
from core.dispatch import admission, workers
from core.errors import InvalidState, Unavailable
from core.jobs import service
from core.jobs.lifecycle import BEFORE_ROOM
from core.settings import Settings
from flows.forks import MeetingForks
from flows.holding import Deaths
from flows.local_files import erase_local
from flows.resources import Resources, open_resources
from flows.scratch import sweep
from flows.worker import MeetingWorker

log = logging.getLogger(__name__)

# How often a worker says that it is there.
REPORT_SECONDS: Final = 15
# How often it looks for what killed processes left on this machine.
SWEEP_SECONDS: Final = 5
# How often it looks for files of jobs that were deleted.
ERASE_SECONDS: Final = 15
# Prefect may still be starting, or migrating its database.
POOL_SECONDS: Final = 140


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; a second one ends the meetings that were to go on."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    mark = settings.worker_mark
    forks = MeetingForks()
    # It takes seconds of importing: in the background, while Prefect may still be starting.
    warming = asyncio.create_task(asyncio.to_thread(forks.warm_up), name="warm up")
    async with open_resources(settings) as resources:
        await _pool_exists(settings, resources.clock)
        await warming
        worker = MeetingWorker(
            work_pool_name=settings.prefect.work_pool,
            name=settings.worker.name,
            forks=forks,
            cancel_job=lambda job_id: _cancel(resources, job_id),
            deaths=Deaths(resources),
            admit=lambda live, wanted: _admit(resources, live, wanted),
        )
        working = asyncio.create_task(worker.start(printer=log.info), name="worker")
        watching = asyncio.create_task(worker.watch_cancellations(), name="cancellations")
        ready = asyncio.create_task(_announce(worker, mark), name="ready")
        present = asyncio.create_task(_report(resources, worker), name="presence")
        sweeping = asyncio.create_task(_sweep(resources), name="sweep")
        erasing = asyncio.create_task(_erase(resources), name="erase")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        done, _ = await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping in done:
            mark.unlink(missing_ok=True)
            present.cancel()
            await _say_here(resources, 0)
            await worker.drain(settings.worker.drain_seconds, hurry)
            await worker.stop_meetings(
                lambda job_id: _leave(resources, job_id), settings.worker.leave_seconds
            )
        mark.unlink(missing_ok=True)
        for task in (ready, present, sweeping, erasing, watching, working, stopping):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _pool_exists(settings: Settings, clock: Clock) -> None:
    """Wait until Prefect answers and knows our work pool; whoever starts a stack makes it.

    Raises:
        Unavailable: neither happened in time.
    """
    deadline = clock.monotonic() + POOL_SECONDS
    async with get_client() as client:
        while True:
            try:
                await client.read_work_pool(settings.prefect.work_pool)
            except (httpx.HTTPError, ObjectNotFound) as error:
                if clock.monotonic() > deadline:
                    raise Unavailable(
                        f"Prefect at {settings.prefect.api_url} has no work pool "
                        f"{settings.prefect.work_pool!r}: {type(error).__name__}."
                    ) from error
                await clock.sleep(0.25)
            else:
                return


async def _announce(worker: MeetingWorker, mark: Path) -> None:
    """Say that runs are being taken, for whoever started this process."""
    await worker.ready.wait()
    await asyncio.to_thread(mark.touch)


async def _cancel(resources: Resources, job_id: str) -> None:
    """Pass on a cancel from the Prefect UI; the bot ends the job."""
    with contextlib.suppress(InvalidState):
        async with resources.database.begin() as session:
            await service.request_cancel(session, job_id, now=resources.clock.now())


async def _leave(resources: Resources, job_id: str) -> bool:
    """The machine stops: leave gracefully, so that what was recorded is delivered.

    False for a bot that is not in its room: another machine goes there instead, and the customer
    notices nothing. Asked to leave, it would end the job as cancelled.
    """
    async with resources.database.begin() as session:
        job = await service.find_job(session, job_id)
        if job.status in BEFORE_ROOM and job.cancel_requested_at is None:
            return False
        with contextlib.suppress(InvalidState):
            await service.request_leave(session, job_id, now=resources.clock.now())
    return True


async def _admit(
    resources: Resources, live: Collection[str], wanted: Sequence[str]
) -> Collection[str]:
    budget = resources.settings.worker.cpu_seconds_a_minute
    async with resources.database.begin() as session:
        return await admission.fitting(session, live, wanted, budget)


async def _report(resources: Resources, worker: MeetingWorker) -> None:
    """Keep saying that this worker takes runs; runs until cancelled."""
    await worker.ready.wait()
    while True:
        await _say_here(resources, resources.settings.worker.cpu_seconds_a_minute)
        await resources.clock.sleep(REPORT_SECONDS)


async def _sweep(resources: Resources) -> None:
    """Keep removing what killed meetings left here, also under an earlier worker."""
    while True:
        try:
            await asyncio.to_thread(sweep, resources.settings.scratch_dir)
        except OSError as error:
            log.warning("what dead processes left could not be removed: %s", error)
        await resources.clock.sleep(SWEEP_SECONDS)


async def _erase(resources: Resources) -> None:
    """Keep removing what lies here of jobs that customers have deleted."""
    while True:
        try:
            await erase_local(resources)
        except (OSError, Unavailable) as error:
            log.warning("files of deleted jobs could not be removed: %s", error)
        await resources.clock.sleep(ERASE_SECONDS)


async def _say_here(resources: Resources, budget: float) -> None:
    try:
        async with resources.database.begin() as session:
            name, now = resources.settings.worker.name, resources.clock.now()
            await workers.report(session, name, budget, now=now)
    except Unavailable as error:
        log.warning("the job store does not hear this worker: %s", error.message)
