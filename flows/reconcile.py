"""The repair of jobs without a good flow run, every ten seconds (design.md D2)."""

from __future__ import annotations

from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from core.dispatch.prefect import PrefectDispatcher
from core.dispatch.reconciling import Reconciler, Tally
from flows.calendars import hand_out_syncs
from flows.resources import open_resources
from flows.transcripts import hand_out

# One at a time in the whole installation; the lock ends with its holder, also when that is killed.
LOCK: Final = "reconcile"
INTERVAL_SECONDS: Final = 10


@task(cache_policy=NO_CACHE, timeout_seconds=120)
async def repair() -> Tally:
    """One round; an empty tally while another one is at it."""
    async with open_resources() as resources, resources.database.exclusive(LOCK) as alone:
        if not alone:
            return Tally()
        async with PrefectDispatcher(resources.settings.prefect) as runs:
            reconciler = Reconciler(
                resources.database,
                runs,
                resources.clock,
                lead_seconds=resources.settings.lifecycle.lead_seconds,
            )
            # The rounds count themselves, so that nobody has to remember the last one.
            number = int(resources.clock.now().timestamp()) // INTERVAL_SECONDS
            tally = await reconciler.round(number)
            # Last: whatever is wrong with these keeps no job from its run.
            await hand_out_syncs(resources, runs)
            await hand_out(resources, runs)
            return tally


@flow(name="reconcile")
async def reconcile() -> Tally:
    """Make, move or end the flow runs that do not fit their jobs."""
    return await repair()
