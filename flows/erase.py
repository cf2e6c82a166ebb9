"""Goes on with erasures every minute: Prefect's data, what storage kept, receipts (MF-22)."""

from __future__ import annotations

from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from core.dispatch.prefect import PrefectDispatcher
from core.erasure.eraser import Eraser
from flows.resources import open_resources

LOCK: Final = "erase"


@task(cache_policy=NO_CACHE, timeout_seconds=300)
async def erase_due() -> int:
    """One round; the number of jobs that are erased now, 0 while another round is at it."""
    async with open_resources() as resources, resources.database.exclusive(LOCK) as alone:
        if not alone:
            return 0
        eraser = Eraser(resources.database, resources.storage_of, resources.clock)
        async with PrefectDispatcher(resources.settings.prefect) as runs:
            return await eraser.drain(runs)


@flow(name="erase")
async def erase() -> int:
    """Erase what customers deleted, wherever it is."""
    return await erase_due()
