"""The end of a job, as its run brings it about: evidence, status, usage and webhooks."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from core.errors import StorageError, Unavailable
from core.jobs import postponed
from core.jobs.models import Job
from core.jobs.settlement import settle
from core.storage.base import Storage
from flows import evidence
from flows.outcome import Outcome
from flows.resources import Resources

log = logging.getLogger(__name__)

# Storage that is slower than this is waited for without the job.
EVIDENCE_SECONDS: Final = 60.0


async def end(resources: Resources, job_id: str, outcome: Outcome, *, fence: int | None) -> Job:
    """End the job, with what its meeting's pages showed; an earlier attempt's end stands.

    Storage that does not take the evidence delays nothing: its machine goes on with it, as with
    recordings (D9), while the job is over.

    Raises:
        StaleAttempt: a newer attempt holds the job.
        Unavailable: the job store is away; call again.
    """
    work_dir = resources.settings.work_dir / job_id
    refused = None
    if not outcome.evidence and await asyncio.to_thread(evidence.waits, work_dir):
        try:
            async with asyncio.timeout(EVIDENCE_SECONDS):
                storage = await _storage_of(resources, job_id)
                outcome.evidence = await evidence.send(work_dir, job_id, storage)
        except (StorageError, Unavailable, TimeoutError) as error:
            refused = str(error) or f"no answer within {EVIDENCE_SECONDS:g} s"
            log.warning("%s: its evidence waits for storage: %s", job_id, refused)
    job = await settled(resources, job_id, outcome, fence=fence, waits=refused)
    if refused is None:
        await evidence.drop(work_dir)
    return job


async def _storage_of(resources: Resources, job_id: str) -> Storage:
    async with resources.database.begin() as session:
        job = await session.get_one(Job, job_id)
    return await resources.storage_of(job)


async def settled(
    resources: Resources,
    job_id: str,
    outcome: Outcome,
    *,
    fence: int | None,
    waits: str | None = None,
) -> Job:
    """What `end` does in the job store, in one transaction.

    Args:
        waits: why storage did not take the evidence that is on this machine.
    """
    settings, now = resources.settings, resources.clock.now()
    async with resources.database.begin() as session:
        job = await settle(
            session,
            job_id,
            outcome.settlement(),
            now=now,
            fence=fence,
            prices=settings.billing.prices,
        )
        if waits is not None:
            await postponed.postpone_evidence(
                session,
                job,
                machine=settings.worker.name,
                error=waits,
                keep_seconds=settings.storage.keep_seconds,
                now=now,
            )
    return job
