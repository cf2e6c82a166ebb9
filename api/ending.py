"""Taking bots away: cancelling and leaving (API-03, API-08)."""

from __future__ import annotations

import logging

from api.schemas.jobs import VerbResult
from api.services import Services
from core.errors import Unavailable
from core.jobs import service
from core.jobs.models import Job
from core.jobs.verbs import Verb

log = logging.getLogger(__name__)


async def cancel(services: Services, job: Job) -> None:
    """End the job as `cancelled`; what was recorded is delivered first."""
    async with services.database.begin() as session:
        done = await service.request_cancel(session, job.id, now=services.clock.now())
    await _cancel_run(services, done)


async def leave(services: Services, job: Job) -> VerbResult:
    """Have the bot leave and deliver; before it is in the meeting this cancels the job."""
    async with services.database.begin() as session:
        done = await service.request_leave(session, job.id, now=services.clock.now())
    await _cancel_run(services, done)
    return VerbResult.of(done.command, Verb.LEAVE)


async def _cancel_run(services: Services, done: service.Cancellation | service.Departure) -> None:
    """Only when nobody works on the job: a living bot ends its own run, after delivering."""
    if not done.over or done.job.flow_run_id is None:
        return
    try:
        await services.dispatcher.cancel(done.job.flow_run_id)
    except Unavailable as exc:
        # The run finds its job cancelled as soon as it starts.
        log.warning("the run of %s was not cancelled: %s", done.job.id, exc.message)
