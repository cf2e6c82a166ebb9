"""The end of a job: status, charge and last webhooks, all in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Team
from core.billing.metering import Charge, Prices, Recorded, charge
from core.billing.models import UsageEvent
from core.errors import InvalidState
from core.ids import new_id
from core.jobs import commands
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Event, Status
from core.jobs.models import Job
from core.jobs.rows import locked_job
from core.jobs.transitions import move
from core.jobs.verbs import Outcome
from core.webhooks.events import EventName
from core.webhooks.outbox import emit


@dataclass(frozen=True)
class Settlement:
    """How a job ended. `failure_code` makes it failed, `cancelled` cancelled, else completed.

    `recorded_seconds` is None when no recording was ever begun; `manifest_uri` when none was
    written. `transcribed` says that our add-on made a transcript.
    """

    exit_reason: ExitReason
    failure_code: FailureCode | None = None
    failure_detail: str | None = None
    adapter_error: str | None = None
    cancelled: bool = False
    recorded_seconds: Decimal | int | None = None
    manifest_uri: str | None = None
    ended_at: datetime | None = None
    transcribed: bool = False

    @property
    def event(self) -> Event:
        if self.cancelled:
            return Event.CANCELLED
        return Event.COMPLETED if self.failure_code is None else Event.FAILED


async def settle(
    session: AsyncSession,
    job_id: str,
    settlement: Settlement,
    *,
    now: datetime,
    fence: int | None = None,
    prices: Prices | None = None,
) -> Job:
    """End a job once; a second call finds it ended and changes nothing.

    Writes the terminal status with its webhook, then `job.finalized` or `job.failed` (LC-18), and
    the one usage event when a bot ran (BL-02).

    Raises:
        InvalidState: the job cannot end this way from where it is.
        StaleAttempt: `fence` is outdated.
    """
    job = await locked_job(session, job_id)
    if job.status.terminal:
        return job
    if fence is not None:
        job = await locked_job(session, job_id, fence=fence)
    if settlement.cancelled and settlement.failure_code is not None:
        raise InvalidState("A cancelled job has no failure code.")
    outcome = await _charge(session, job, settlement, prices or Prices())
    _record(job, settlement, outcome)
    await move(session, job, settlement.event, now=now, at=settlement.ended_at)
    if job.fence:
        session.add(_usage(job, outcome, now))
    if job.status is Status.COMPLETED:
        await emit(session, job, EventName.FINALIZED, _finalized_data(job), now=now)
    elif job.status is Status.FAILED:
        await emit(session, job, EventName.FAILED, _failed_data(job), now=now)
    await commands.settle_all(session, job.id, Outcome.DONE, now=now)
    job.lease_until = None
    job.lease_holder = None
    await session.flush()
    return job


async def _charge(
    session: AsyncSession, job: Job, settlement: Settlement, prices: Prices
) -> Charge:
    team = await session.get_one(Team, job.team_id)
    rate = team.rate_usd_per_hour if team.rate_usd_per_hour is not None else prices.recording
    recorded = Recorded(
        seconds=Decimal(settlement.recorded_seconds or 0),
        livemode=job.livemode,
        failure_code=settlement.failure_code,
        transcribed=settlement.transcribed,
    )
    return charge(recorded, Prices(recording=rate, transcription=prices.transcription))


def _record(job: Job, settlement: Settlement, outcome: Charge) -> None:
    job.exit_reason = settlement.exit_reason
    job.failure_code = settlement.failure_code
    job.failure_detail = settlement.failure_detail
    job.adapter_error = settlement.adapter_error
    job.manifest_uri = settlement.manifest_uri
    job.duration_seconds = outcome.seconds
    job.billed = outcome.billed
    job.hours_billed = outcome.hours_billed
    job.amount_usd = outcome.amount_usd


def _usage(job: Job, outcome: Charge, now: datetime) -> UsageEvent:
    return UsageEvent(
        id=new_id("use"),
        job_id=job.id,
        team_id=job.team_id,
        seconds=outcome.seconds,
        hours_billed=outcome.hours_billed,
        amount_usd=outcome.amount_usd,
        transcription_hours_billed=outcome.transcription_hours_billed,
        transcription_amount_usd=outcome.transcription_amount_usd,
        billed=outcome.billed,
        livemode=job.livemode,
        recorded_at=now,
    )


def _finalized_data(job: Job) -> dict[str, Any]:
    return {
        "manifestUri": job.manifest_uri,
        "durationSeconds": job.duration_seconds,
        "billed": job.billed,
        "hours_billed": float(job.hours_billed or 0),
        "amount_usd": float(job.amount_usd or 0),
        "exitReason": job.exit_reason,
    }


def _failed_data(job: Job) -> dict[str, Any]:
    """All spellings of the failure (CON-13, CON-14); the version decides which are sent."""
    return {
        "failure_code": job.failure_code,
        "failureCode": job.failure_code,
        "failure_detail": job.failure_detail,
        "failure_reason": job.failure_detail,
        "error": job.failure_detail,
        "billed": job.billed,
        "manifestUri": job.manifest_uri,
        "durationSeconds": job.duration_seconds,
        "exitReason": job.exit_reason,
        "adapterError": job.adapter_error,
    }
