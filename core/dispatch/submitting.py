"""From a job's row to its flow run, and when that run starts (design.md D2, D11).

The row comes first and is the truth: when the run cannot be made now, `reconciling` makes it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from core.database import Database
from core.dispatch.base import Dispatcher
from core.jobs import service
from core.jobs.models import Job


async def submit_job(
    database: Database, dispatcher: Dispatcher, job: Job, *, lead_seconds: float, now: datetime
) -> None:
    """Make the flow run of a committed job and note its id.

    A job that was cancelled meanwhile has its run cancelled too.

    Raises:
        Unavailable: Prefect or the database; call again, or leave it to the reconciliation.
    """
    flow_run_id = await dispatcher.submit(job.id, due(job, lead_seconds, now), tags_of(job))
    async with database.begin() as session:
        current = await service.set_flow_run(session, job.id, flow_run_id, now=now)
    if current.status.terminal:
        await dispatcher.cancel(flow_run_id)


def tags_of(job: Job) -> list[str]:
    """What a job's runs are found by in Prefect."""
    return [job.id, job.platform, job.team_id, job.source]


def due(job: Job, lead_seconds: float, now: datetime) -> datetime:
    """When the run starts: ahead of `joinAt`, to wait ready inside the flow (design.md D11)."""
    if job.join_at is None:
        return now
    return max(now, planned(job.id, job.join_at, lead_seconds))


def planned(job_id: str, join_at: datetime, lead_seconds: float) -> datetime:
    """One to two leads before `joinAt`, always the same for the same job.

    Fifty meetings that begin at nine would otherwise start fifty runs in the same second, and a
    Prefect server starts four or five of them.
    """
    return join_at - timedelta(seconds=lead_seconds * (1 + _spread(job_id)))


def _spread(job_id: str) -> float:
    """0 to 1, evenly over all ids; their own order is that of time, so they are hashed."""
    digest = hashlib.sha256(job_id.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
