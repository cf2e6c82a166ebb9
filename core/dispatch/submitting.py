"""From a job's row to its flow run, and the repair of rows that have none (design.md D2).

The row comes first and is the truth: when the run cannot be made now, it is made later.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from core.clock import Clock
from core.database import Database
from core.dispatch.base import Dispatcher
from core.errors import Unavailable
from core.jobs import service
from core.jobs.listing import undispatched_jobs
from core.jobs.models import Job

log = logging.getLogger(__name__)

# Younger rows are still in the hands of the request that made them.
REPAIR_AFTER: Final = timedelta(seconds=5)
REPAIR_BATCH: Final = 100


async def submit_job(
    database: Database, dispatcher: Dispatcher, job: Job, *, lead_seconds: float, now: datetime
) -> None:
    """Make the flow run of a committed job and note its id.

    A job that was cancelled meanwhile has its run cancelled too.

    Raises:
        Unavailable: Prefect or the database; call again, or leave it to `submit_missing`.
    """
    flow_run_id = await dispatcher.submit(
        job.id, due(job, lead_seconds, now), [job.id, job.platform, job.team_id]
    )
    async with database.begin() as session:
        current = await service.set_flow_run(session, job.id, flow_run_id, now=now)
    if current.status.terminal:
        await dispatcher.cancel(flow_run_id)


def due(job: Job, lead_seconds: float, now: datetime) -> datetime:
    """When the run starts: ahead of `joinAt`, to wait ready inside the flow (design.md D11)."""
    if job.join_at is None:
        return now
    return max(now, job.join_at - timedelta(seconds=lead_seconds))


async def submit_missing(
    database: Database, dispatcher: Dispatcher, clock: Clock, *, lead_seconds: float
) -> int:
    """Make the runs that are missing; returns how many were made. Stops at the first failure."""
    now = clock.now()
    async with database.begin() as session:
        jobs = await undispatched_jobs(
            session, now=now, older_than=REPAIR_AFTER, limit=REPAIR_BATCH
        )
    made = 0
    for job in jobs:
        try:
            await submit_job(database, dispatcher, job, lead_seconds=lead_seconds, now=now)
        except Unavailable as exc:
            log.warning("%s still has no flow run: %s", job.id, exc.message)
            break
        made += 1
    return made
