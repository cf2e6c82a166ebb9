"""The worker as a process: takes runs until it is told to stop, then ends its meetings."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import Final

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from core.clock import Clock
from core.errors import InvalidState, Unavailable
from core.jobs import service
from core.settings import Settings
from flows.forks import MeetingForks
from flows.holding import Deaths
from flows.resources import Resources, open_resources
from flows.worker import MeetingWorker

log = logging.getLogger(__name__)

# How long live meetings may take to leave and be delivered when the worker stops.
STOP_SECONDS: Final = 45
# Prefect may still be starting, or migrating its database.
POOL_SECONDS: Final = 140


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    mark = settings.worker_mark
    forks = MeetingForks()
    # It takes seconds of importing: in the background, while Prefect may still be starting.
    warming = asyncio.create_task(asyncio.to_thread(forks.warm_up), name="warm up")
    async with open_resources(settings) as resources:
        await _pool_exists(settings, resources.clock)
        await warming
        worker = MeetingWorker(
            work_pool_name=settings.prefect.work_pool,
            forks=forks,
            cancel_job=lambda job_id: _cancel(resources, job_id),
            deaths=Deaths(resources),
        )
        working = asyncio.create_task(worker.start(printer=log.info), name="worker")
        watching = asyncio.create_task(worker.watch_cancellations(), name="cancellations")
        ready = asyncio.create_task(_announce(worker, mark), name="ready")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        done, _ = await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping in done:
            await worker.stop_meetings(lambda job_id: _leave(resources, job_id), STOP_SECONDS)
        mark.unlink(missing_ok=True)
        for task in (ready, watching, working, stopping):
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


async def _leave(resources: Resources, job_id: str) -> None:
    """The machine stops: leave gracefully, so that what was recorded is delivered."""
    with contextlib.suppress(InvalidState):
        async with resources.database.begin() as session:
            await service.request_leave(session, job_id, now=resources.clock.now())
