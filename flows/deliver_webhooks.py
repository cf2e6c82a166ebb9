"""The drain: webhook deliveries whose next attempt is due, in bulk, every ten seconds (D9)."""

from __future__ import annotations

from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.resources import open_resources

# One drain at a time. The lock ends with its holder, also when that is killed; a concurrency
# limit of Prefect's would keep the slot of a killed run for minutes.
LOCK: Final = "deliver-webhooks"


@task(cache_policy=NO_CACHE, timeout_seconds=300)
async def drain() -> int:
    """Send everything due; the number of attempts made, 0 while another drain is at it."""
    async with open_resources() as resources, resources.database.exclusive(LOCK) as alone:
        if not alone:
            return 0
        tally = await resources.courier.drain()
    return tally.delivered + tally.failed


@flow(name="deliver-webhooks")
async def deliver_webhooks() -> int:
    """Send every webhook whose next attempt is due."""
    return await drain()
