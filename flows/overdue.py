"""Housekeeping that nobody did in its time: dropped, because the newest run does all of it.

Prefect schedules runs ahead and keeps them. After an hour without a worker there are hundreds of
late ones for each deployment, and a meeting would wait behind them.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

from flows.worker import HOUSEKEEPING_TAG

log = logging.getLogger(__name__)

LATE: Final = timedelta(seconds=30)
BATCH: Final = 200
# More than the runs of a day without a worker; what is left is late, not wrong.
MOST_BATCHES: Final = 50
AT_ONCE: Final = 8


async def drop_overdue(client: PrefectClient) -> int:
    """Delete the housekeeping runs that should have started long ago; returns how many."""
    before = datetime.now(UTC) - LATE
    late = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[HOUSEKEEPING_TAG]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=before),
    )
    dropped = 0
    for _ in range(MOST_BATCHES):
        runs = await client.read_flow_runs(flow_run_filter=late, limit=BATCH)
        if not runs:
            break
        turns = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(_drop(client, run.id, turns) for run in runs))
        dropped += len(runs)
    if dropped:
        log.info("dropped %d housekeeping runs that nobody started in time", dropped)
    return dropped


async def _drop(client: PrefectClient, run_id: UUID, turns: asyncio.Semaphore) -> None:
    async with turns:
        with suppress(ObjectNotFound):
            await client.delete_flow_run(run_id)
