"""Syncs connected calendars: all of them every five minutes, those that are asked for at once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from core.calendars.connections import due_connections
from core.calendars.providers import Providers
from core.calendars.scheduling import Placed
from core.calendars.syncing import Outcome, Syncer
from core.dispatch.prefect import PrefectDispatcher
from core.dispatch.queues import HOUSEKEEPING
from core.dispatch.submitting import submit_job
from core.errors import MeetbotError, Unavailable
from flows.resources import Resources, open_resources

log = logging.getLogger(__name__)

LOCK: Final = "calendar-sync"
# A flow of its own: of runs of one flow that are due, workers take only the newest.
NOW_DEPLOYMENT: Final = "calendar-sync-now/calendar-sync-now"
# Of one round; the next one goes on with the others.
MOST: Final = 2_000
# Also a calendar of many pages, at a provider that takes its time, is done by then.
SYNC_SECONDS: Final = 120


async def sync_all(
    resources: Resources, runs: PrefectDispatcher | None, ids: Sequence[str]
) -> Counter[str]:
    """Sync some connections, a few at a time; how many ended how. None keeps back another."""
    ended: Counter[str] = Counter()
    settings = resources.settings
    room = asyncio.Semaphore(settings.calendars.at_once)
    async with Providers(settings, resources.clock) as providers:
        syncer = Syncer(resources.database, resources.box, settings, resources.clock, providers)

        async def one(connection_id: str) -> None:
            async with room:
                try:
                    async with asyncio.timeout(SYNC_SECONDS):
                        synced = await syncer.sync(connection_id)
                        await _dispatch(resources, runs, synced.placed)
                    ended[synced.outcome] += 1
                except Exception as error:
                    # Whatever is wrong with one calendar is no reason to leave out the others.
                    expected = isinstance(error, MeetbotError | TimeoutError)
                    log.warning("%s was not synced", connection_id, exc_info=not expected)
                    ended["failed"] += 1
                    with suppress(MeetbotError):
                        await syncer.put_off(connection_id)

        async with asyncio.TaskGroup() as group:
            for connection_id in ids:
                group.create_task(one(connection_id))
    return ended


async def _dispatch(resources: Resources, runs: PrefectDispatcher | None, placed: Placed) -> None:
    """Runs for what was made, at once; what fails here is repaired by `reconcile`."""
    if runs is None:
        return
    lead = resources.settings.lifecycle.lead_seconds
    try:
        for job in placed.created:
            await submit_job(
                resources.database, runs, job, lead_seconds=lead, now=resources.clock.now()
            )
        for job in placed.cancelled:
            if job.status.terminal and job.flow_run_id is not None:
                await runs.cancel(job.flow_run_id)
    except Unavailable as error:
        log.warning("runs of calendar events are made or ended later: %s", error.message)


@task(cache_policy=NO_CACHE, timeout_seconds=1_500)
async def sync_due(*, asked_only: bool) -> dict[str, int]:
    """One round: how many connections ended how; empty while another round is at it."""
    async with open_resources() as resources:
        name = f"{LOCK}-asked" if asked_only else LOCK
        async with resources.database.exclusive(name) as alone:
            if not alone:
                return {}
            async with resources.database.begin() as session:
                ids = await due_connections(
                    session, now=resources.clock.now(), asked_only=asked_only, limit=MOST
                )
            if not ids:
                return {}
            async with PrefectDispatcher(resources.settings.prefect) as runs:
                ended = await sync_all(resources, runs, ids)
    if ended["failed"] and not ended[Outcome.DONE]:
        raise Unavailable("No calendar could be synced; the log says why.")
    return dict(ended)


@flow(name="calendar-sync")
async def calendar_sync() -> dict[str, int]:
    """Bring the jobs of connected calendars to what their events and rules say."""
    return await sync_due(asked_only=False)


@flow(name="calendar-sync-now")
async def calendar_sync_now() -> dict[str, int]:
    """The same for those that somebody has asked for: a person, a rule, or the provider."""
    return await sync_due(asked_only=True)


async def hand_out_syncs(resources: Resources, runs: PrefectDispatcher) -> bool:
    """A run for the connections that somebody wants synced now; whether there are any.

    Raises:
        Unavailable: Prefect or the database is away; the next round asks again.
    """
    now = resources.clock.now()
    async with resources.database.begin() as session:
        asked = await due_connections(session, now=now, asked_only=True, limit=1)
    if not asked:
        return False
    # One run for all that ask within ten seconds.
    key = f"calendar-sync-{int(now.timestamp()) // 10}"
    await runs.start(NOW_DEPLOYMENT, {}, queue=HOUSEKEEPING, key=key)
    return True
