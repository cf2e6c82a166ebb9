"""The drain: webhook deliveries whose next attempt is due, in bulk, every ten seconds (D9)."""

from __future__ import annotations

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.resources import open_resources


@task(cache_policy=NO_CACHE, timeout_seconds=300)
async def drain() -> int:
    """Send everything due; the number of attempts made."""
    async with open_resources() as resources:
        tally = await resources.courier.drain()
    return tally.delivered + tally.failed


@flow(name="deliver-webhooks")
async def deliver_webhooks() -> int:
    """Send every webhook whose next attempt is due."""
    return await drain()
