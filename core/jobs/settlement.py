"""The end of a job: status, charge and last webhooks, all in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Team
from core.billing.credit import free_hours_left
from core.billing.metering import Charge, Recorded, charge
from core.billing.usage import Account, record_recording, record_transcript
from core.errors import SIGNED_OUT, InvalidState
from core.integrations.pool import revoke_lent
from core.jobs import commands
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Event, Status
from core.jobs.models import Job
from core.jobs.rows import locked_job
from core.jobs.spec import TranscriptionOptions
from core.jobs.transitions import move
from core.jobs.verbs import Outcome
from core.prices import PriceList, Prices
from core.recordings.evidence import EvidenceFile, as_column
from core.texts import plain_text
from core.transcripts.requests import request_transcript
from core.webhooks.events import EventName
from core.webhooks.outbox import emit

LONGEST_DETAIL: Final = 2000


@dataclass(frozen=True)
class Settlement:
    """How a job ended. `failure_code` makes it failed, `cancelled` cancelled, else completed.

    `recorded_seconds` is None when no recording was ever begun; `manifest_uri` when none was
    written. `evidence` is in storage already. `transcribed` says that our add-on made a
    transcript, `transcript_later` that one is to be made now that the job is over (D18).
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
    transcript_later: bool = False
    evidence: tuple[EvidenceFile, ...] = ()

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
    prices: PriceList | None = None,
) -> Job:
    """End a job once; a second call finds it ended and changes nothing.

    Writes the terminal status with its webhook, then `job.finalized` or `job.failed` (LC-18), and
    when a bot ran its one usage event, and that of the transcript (BL-02, D15).

    Args:
        prices: the operator's price list; the standard one where there is nothing to bill.

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
    outcome = await _charge(session, job, settlement, prices or PriceList(), now)
    _record(job, settlement, outcome)
    await move(session, job, settlement.event, now=now, at=settlement.ended_at)
    if settlement.adapter_error == SIGNED_OUT:
        await revoke_lent(session, job.id, "The meeting's page did not know it any more.")
    if job.fence:
        account = Account.of(job)
        await record_recording(session, account, outcome, now=now)
        if settlement.transcribed:
            await record_transcript(session, account, outcome, revision=1, now=now)
    if job.status is Status.COMPLETED:
        await emit(session, job, EventName.FINALIZED, _finalized_data(job), now=now)
    elif job.status is Status.FAILED:
        await emit(session, job, EventName.FAILED, _failed_data(job), now=now)
    if settlement.transcript_later and job.manifest_uri is not None:
        options = TranscriptionOptions.model_validate(job.transcription)
        await request_transcript(session, job, options, now=now)
    await commands.settle_all(session, job.id, Outcome.DONE, now=now)
    job.lease_until = None
    job.lease_holder = None
    await session.flush()
    return job


async def charge_transcript(
    session: AsyncSession,
    job: Job,
    recorded_seconds: int,
    *,
    revision: int,
    prices: PriceList,
    now: datetime,
) -> None:
    """Bill a transcript of ours that was made after its job had ended; once per revision (D15)."""
    team = await session.get_one(Team, job.team_id)
    recorded = Recorded(
        seconds=Decimal(recorded_seconds),
        livemode=job.livemode,
        failure_code=job.failure_code,
        transcribed=True,
    )
    due = charge(recorded, prices_of(team, prices, now))
    account = Account.of(job)
    await record_transcript(session, account, due, revision=revision, now=now)


async def _charge(
    session: AsyncSession, job: Job, settlement: Settlement, prices: PriceList, now: datetime
) -> Charge:
    team = await session.get_one(Team, job.team_id)
    recorded = Recorded(
        seconds=Decimal(settlement.recorded_seconds or 0),
        livemode=job.livemode,
        failure_code=settlement.failure_code,
        transcribed=settlement.transcribed,
    )
    left = await free_hours_left(session, team.id, prices.free_hours_per_month, now=now)
    return charge(recorded, prices_of(team, prices, now), free_hours_left=left)


def prices_of(team: Team, prices: PriceList, now: datetime) -> Prices:
    """What the team pays for an hour: the list's prices, or what was agreed with it (BL-26)."""
    listed = prices.at(now)
    agreed = team.rate_usd_per_hour
    return listed if agreed is None else replace(listed, recording=agreed)


def _record(job: Job, settlement: Settlement, outcome: Charge) -> None:
    job.exit_reason = settlement.exit_reason
    job.failure_code = settlement.failure_code
    job.failure_detail = _plain(settlement.failure_detail)
    job.adapter_error = _plain(settlement.adapter_error)
    job.manifest_uri = settlement.manifest_uri
    job.evidence = as_column(settlement.evidence)
    job.duration_seconds = outcome.seconds
    job.billed = outcome.billed
    job.hours_billed = outcome.hours_billed
    job.amount_usd = outcome.amount_usd


def _plain(text: str | None) -> str | None:
    """Details quote the meeting page, which may say anything (FC-02, D19)."""
    return plain_text(text, LONGEST_DETAIL) if text is not None else None


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
