"""Sends postponed recordings to the machines that have them, every half minute (D9, MF-16)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from sqlmodel.ext.asyncio.session import AsyncSession

from core.dispatch import workers
from core.dispatch.prefect import PrefectDispatcher
from core.dispatch.queues import HOUSEKEEPING, machine_queue
from core.jobs import postponed
from flows.resources import Resources, open_resources

LOCK: Final = "resume-uploads"
INTERVAL_SECONDS: Final = 30
DEPLOYMENT: Final = "uploads/uploads"
# Recordings given up in one round.
BATCH: Final = 100


async def plan(resources: Resources) -> Mapping[str, str]:
    """The queue for each machine with recordings that are due.

    Its own, while its worker is there to take it. One that is away may come back with everything
    it recorded: only when it has been away for long do others restore what it had sent.
    """
    now = resources.clock.now()
    settings = resources.settings.worker
    async with resources.database.begin() as session:
        machines = await postponed.due_machines(session, now=now)
        present = await _names(session, now - workers.PRESENT)
        expected = await _names(session, now - timedelta(seconds=settings.lost_seconds))
    queues = {name: machine_queue(name) for name in machines if name in present}
    return queues | {name: HOUSEKEEPING for name in machines if name not in expected}


async def give_up(resources: Resources) -> int:
    """Fail the jobs whose time is over, and tell their customers."""
    async with resources.database.begin() as session:
        ended = await postponed.give_up(session, now=resources.clock.now(), limit=BATCH)
    for job_id in ended:
        await resources.courier.deliver_job(job_id)
    return len(ended)


@task(cache_policy=NO_CACHE, timeout_seconds=120)
async def hand_out() -> int:
    """Make a run for every machine with something to do; the number of runs."""
    async with open_resources() as resources, resources.database.exclusive(LOCK) as alone:
        if not alone:
            return 0
        await give_up(resources)
        queues = await plan(resources)
        if not queues:
            return 0
        slot = int(resources.clock.now().timestamp()) // INTERVAL_SECONDS
        async with PrefectDispatcher(resources.settings.prefect) as runs:
            for machine, queue in queues.items():
                await runs.start(
                    DEPLOYMENT,
                    {"machine": machine},
                    queue=queue,
                    key=f"uploads-{machine}-{slot}",
                )
        return len(queues)


async def _names(session: AsyncSession, since: datetime) -> frozenset[str]:
    return frozenset(worker.name for worker in await workers.seen_since(session, since))


@flow(name="resume-uploads")
async def resume_uploads() -> int:
    """Go on with recordings that storage did not take, where their files are."""
    return await hand_out()
