"""Taking bots away: cancelling and leaving (API-03, API-08)."""

from __future__ import annotations

from api import starting
from api.schemas.jobs import VerbResult
from api.services import Services
from core.jobs import service
from core.jobs.models import Job
from core.jobs.verbs import Verb


async def cancel(services: Services, job: Job) -> None:
    """End the job as `cancelled`; what was recorded is delivered first."""
    async with services.database.begin() as session:
        done = await service.request_cancel(session, job.id, now=services.clock.now())
    await _end_run(services, done)


async def leave(services: Services, job: Job) -> VerbResult:
    """Have the bot leave and deliver; before it is in the meeting this cancels the job."""
    async with services.database.begin() as session:
        done = await service.request_leave(session, job.id, now=services.clock.now())
    await _end_run(services, done)
    return VerbResult.of(done.command, Verb.LEAVE)


async def _end_run(services: Services, done: service.Cancellation | service.Departure) -> None:
    """Only when nobody works on the job: a living bot ends its own run, after delivering."""
    if done.over:
        await starting.cancel_run(services, done.job)
