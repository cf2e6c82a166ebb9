"""The one recovery owner: jobs whose process is dead get another one (design.md D10).

It works from our tables. A lease that has not been renewed for a whole lease period, counted on
the watcher's own clock since it could last see the tables, belongs to a dead process: its flow run
is scheduled again. Whoever sees a process die ends its lease and wakes the watcher, which then
acts at once. That a worker is offline means nothing: meetings outlive their workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.clock import Clock
from core.database import LEASES_CHANNEL, Database
from core.dispatch.base import RunPhase, Runs, RunSeen
from core.dispatch.prefect import PrefectDispatcher
from core.dispatch.submitting import tags_of
from core.errors import InvalidState, MeetbotError, Unavailable
from core.jobs import leases, service
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.leases import Lease
from core.jobs.settlement import Settlement, settle
from core.settings import Settings
from flows.resources import open_resources

log = logging.getLogger(__name__)

LOCK: Final = "watch leases"
LOOK_SECONDS: Final = 2.0
# The lock is asked for again so often: its connection may have been lost without a word.
TERM_SECONDS: Final = 60.0
# A run that was scheduled again has so long to take its lease before it is tried once more.
PATIENCE_SECONDS: Final = 30.0
# So many attempts, and so many starts of one attempt that never took its lease.
MOST_ATTEMPTS: Final = 8
MOST_STARTS: Final = 5
MOST_JOBS: Final = 20_000


@dataclass
class _Watched:
    """A lease as it was when it last changed, `since` on our own clock."""

    fence: int
    until: datetime | None
    since: float
    starts: int = 0
    started_at: float | None = None


class Watcher:
    """Looks at all leases (`look`); `forget` when the tables could not be seen for a while."""

    def __init__(
        self, database: Database, runs: Runs, clock: Clock, *, lease_seconds: float
    ) -> None:
        self._database = database
        self._runs = runs
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._watched: dict[str, _Watched] = {}

    def forget(self) -> None:
        """Every lease gets a whole period again."""
        self._watched.clear()

    async def look(self) -> int:
        """One round; how many jobs were taken care of.

        Raises:
            Unavailable: the database is away.
        """
        async with self._database.begin() as session:
            found = await leases.leases_of_live_jobs(session, limit=MOST_JOBS)
        now = self._clock.monotonic()
        self._watched = {lease.job_id: self._watch(lease, now) for lease in found}
        cared = 0
        for lease in found:
            watched = self._watched[lease.job_id]
            if not self._dead(watched, now):
                continue
            try:
                await self._take_care(lease, watched, now)
                cared += 1
            except (Unavailable, InvalidState) as error:
                log.warning("%s has to wait: %s", lease.job_id, error.message)
        return cared

    def _watch(self, lease: Lease, now: float) -> _Watched:
        known = self._watched.get(lease.job_id)
        if known is None or known.fence != lease.fence:
            return _Watched(lease.fence, lease.until, now)
        if known.until != lease.until and lease.until is not None:
            # Somebody is alive, and all is well again.
            return _Watched(lease.fence, lease.until, now)
        known.until = lease.until
        return known

    def _dead(self, watched: _Watched, now: float) -> bool:
        if watched.started_at is not None and now - watched.started_at < PATIENCE_SECONDS:
            return False
        return watched.until is None or now - watched.since >= self._lease_seconds

    async def _take_care(self, lease: Lease, watched: _Watched, now: float) -> None:
        async with self._database.begin() as session:
            if not await leases.end_lease(session, lease):
                return
        watched.until = None
        if lease.fence >= MOST_ATTEMPTS or watched.starts >= MOST_STARTS:
            await self._give_up(lease)
            return
        flow_run_id = lease.flow_run_id
        seen = await self._seen(flow_run_id) if flow_run_id else None
        phase = seen.phase if seen is not None else None
        cancelled = phase is RunPhase.CANCELLED or lease.cancel_requested
        if cancelled and await self._cancelled(lease):
            return
        watched.started_at = now
        if phase is RunPhase.WAITING:
            # For a worker, which may take its time to come; that is no failed start.
            return
        watched.starts += 1
        if flow_run_id is None or phase is None:
            await self._make_run(lease)
        else:
            why = f"The process of attempt {lease.fence} died; the next one takes over."
            await self._runs.move(flow_run_id, self._clock.now(), why)
        log.warning("%s lost its process in attempt %d", lease.job_id, lease.fence)

    async def _cancelled(self, lease: Lease) -> bool:
        """Note that the job was cancelled; whether that ended it, with nothing to deliver."""
        with contextlib.suppress(InvalidState):
            async with self._database.begin() as session:
                done = await service.request_cancel(session, lease.job_id, now=self._clock.now())
            if done.over and lease.flow_run_id is not None:
                await self._runs.cancel(lease.flow_run_id)
            return done.over
        return False

    async def _seen(self, flow_run_id: str) -> RunSeen | None:
        """How a run stands whose process is known to be dead; None when Prefect has lost it."""
        return (await self._runs.look([flow_run_id])).get(flow_run_id)

    async def _make_run(self, lease: Lease) -> None:
        """Prefect has lost the run."""
        now = self._clock.now()
        async with self._database.begin() as session:
            job = await service.find_job(session, lease.job_id)
        flow_run_id = await self._runs.submit(job.id, now, tags_of(job))
        async with self._database.begin() as session:
            await service.set_flow_run(session, lease.job_id, flow_run_id, now=now)

    async def _give_up(self, lease: Lease) -> None:
        detail = (
            f"The bot's process died {lease.fence} times. What it recorded is kept in the journal "
            "of the job; see the worker's log for why it died."
        )
        failed = Settlement(
            exit_reason=ExitReason.ERROR,
            failure_code=FailureCode.INTERNAL_ERROR,
            failure_detail=detail,
        )
        async with self._database.begin() as session:
            await settle(session, lease.job_id, failed, now=self._clock.now(), fence=lease.fence)
        log.error("%s is given up after %d attempts", lease.job_id, lease.fence)
        if lease.flow_run_id is not None:
            await self._runs.fail(lease.flow_run_id, f"internal_error: {detail}")


async def run(settings: Settings) -> None:
    """Watch until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        open_resources(settings) as resources,
        PrefectDispatcher(settings.prefect) as runs,
    ):
        watcher = Watcher(
            resources.database,
            runs,
            resources.clock,
            lease_seconds=settings.bot.lease_seconds,
        )
        watching = asyncio.create_task(
            _keep_watch(watcher, resources.database, settings, resources.clock), name="watch"
        )
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (watching, stopping):
            task.cancel()
        settings.watch_mark.unlink(missing_ok=True)
        failures = await asyncio.gather(watching, stopping, return_exceptions=True)
        if isinstance(failures[0], Exception):
            raise failures[0]


async def _keep_watch(
    watcher: Watcher, database: Database, settings: Settings, clock: Clock
) -> None:
    """Be the one who watches, or wait until the other one is gone; until cancelled."""
    async with _woken(database, clock) as woken:
        while True:
            try:
                async with database.exclusive(LOCK) as alone:
                    if alone:
                        await _term(watcher, woken, settings, clock)
                    else:
                        watcher.forget()
            except Unavailable as error:
                log.warning("the leases cannot be seen: %s", error.message)
                watcher.forget()
                await clock.sleep(LOOK_SECONDS)
            else:
                if not alone:
                    await asyncio.to_thread(settings.watch_mark.touch)
                    await clock.sleep(LOOK_SECONDS)


async def _term(watcher: Watcher, woken: asyncio.Event, settings: Settings, clock: Clock) -> None:
    """Look for one term."""
    until = clock.monotonic() + TERM_SECONDS
    while clock.monotonic() < until:
        woken.clear()
        await watcher.look()
        await asyncio.to_thread(settings.watch_mark.touch)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await woken.wait()


@asynccontextmanager
async def _woken(database: Database, clock: Clock) -> AsyncIterator[asyncio.Event]:
    """An event that is set when somebody ended a lease."""
    woken = asyncio.Event()

    async def listen() -> None:
        while True:
            try:
                async with aclosing(database.listen(LEASES_CHANNEL)) as notices:
                    async for _ in notices:
                        woken.set()
            except MeetbotError as error:
                log.warning("ended leases are noticed later: %s", error.message)
            await clock.sleep(LOOK_SECONDS)

    listening = asyncio.create_task(listen(), name="ended leases")
    try:
        yield woken
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
