"""Makes and ends the flow runs of jobs that were just written."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from api.services import Services
from core.dispatch.submitting import submit_job
from core.errors import Unavailable
from core.jobs.models import Job

log = logging.getLogger(__name__)

# Longer than this the caller does not wait for a run to be made.
SUBMIT_SECONDS: Final = 5


async def submit(services: Services, job: Job) -> None:
    """The job exists, whatever comes of this: a run that cannot be made now is made later."""
    lead = services.settings.lifecycle.lead_seconds
    try:
        async with asyncio.timeout(SUBMIT_SECONDS):
            await submit_job(
                services.database,
                services.dispatcher,
                job,
                lead_seconds=lead,
                now=services.clock.now(),
            )
    except (Unavailable, TimeoutError) as exc:
        log.warning("%s has no flow run yet: %s", job.id, exc)


async def cancel_run(services: Services, job: Job) -> None:
    """Only for jobs that are over: a living bot ends its own run, after delivering."""
    if not job.status.terminal or job.flow_run_id is None:
        return
    try:
        await services.dispatcher.cancel(job.flow_run_id)
    except Unavailable as exc:
        # The run finds its job cancelled as soon as it starts.
        log.warning("the run of %s was not cancelled: %s", job.id, exc.message)
