"""Writing usage: one event for the recording, one more for each transcript of ours (D15)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing.metering import NOTHING, Charge
from core.billing.models import UsageEvent, UsageKind
from core.billing.stripe_models import MeterEvent
from core.ids import new_id
from core.jobs.models import Job

# The names of the two meters at Stripe (BL-17, BL-18).
RECORDING_METER: Final = "recording_hours"
TRANSCRIPTION_METER: Final = "transcription_hours"


@dataclass(frozen=True)
class Account:
    """Whose usage it is."""

    job_id: str
    team_id: str
    livemode: bool
    region: str

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(job.id, job.team_id, job.livemode, job.region)


async def record_recording(
    session: AsyncSession, account: Account, outcome: Charge, *, now: datetime
) -> None:
    """The recording's one event (BL-02); a second call changes nothing."""
    event = _event(account, outcome, now)
    event.hours_billed, event.amount_usd = outcome.hours_billed, outcome.amount_usd
    event.free_hours, event.rate_usd_per_hour = outcome.free_hours, outcome.prices.recording
    await _insert_once(session, event)


async def record_transcript(
    session: AsyncSession, account: Account, outcome: Charge, *, revision: int, now: datetime
) -> None:
    """The event of a transcript of ours, once per revision (BL-15)."""
    event = _event(account, outcome, now)
    event.kind, event.revision = UsageKind.TRANSCRIPTION, revision
    event.transcription_hours_billed = outcome.transcription_hours_billed
    event.transcription_amount_usd = outcome.transcription_amount_usd
    event.rate_usd_per_hour = outcome.prices.transcription
    await _insert_once(session, event)


def meter_identifier(event: UsageEvent) -> str:
    """What makes Stripe count an event once: the job, and the transcript's revision."""
    if event.kind is UsageKind.RECORDING:
        return event.job_id
    return f"{event.job_id}:{event.revision}"


def meter_name(event: UsageEvent) -> str:
    return RECORDING_METER if event.kind is UsageKind.RECORDING else TRANSCRIPTION_METER


def is_metered(event: UsageEvent) -> bool:
    """Whether there is something for Stripe's meter: billed live runs only (BL-17)."""
    some_hours = event.hours_billed > 0 or event.transcription_hours_billed > 0
    return event.billed and event.livemode and some_hours


def _event(account: Account, outcome: Charge, now: datetime) -> UsageEvent:
    return UsageEvent(
        id=new_id("use"),
        job_id=account.job_id,
        team_id=account.team_id,
        livemode=account.livemode,
        region=account.region,
        seconds=outcome.seconds,
        billed=outcome.billed,
        hours_billed=NOTHING,
        amount_usd=NOTHING,
        transcription_hours_billed=NOTHING,
        transcription_amount_usd=NOTHING,
        rate_usd_per_hour=NOTHING,
        free_hours=NOTHING,
        recorded_at=now,
    )


async def _insert_once(session: AsyncSession, event: UsageEvent) -> None:
    """The first one for its job, kind and revision stays, and so does its way to the meter."""
    made = await session.exec(
        insert(UsageEvent)
        .values(**event.model_dump())
        .on_conflict_do_nothing()
        .returning(col(UsageEvent.id))
    )
    if made.one_or_none() is None or not is_metered(event):
        return
    row = MeterEvent(
        identifier=meter_identifier(event),
        usage_event_id=event.id,
        team_id=event.team_id,
        event_name=meter_name(event),
        next_attempt_at=event.recorded_at,
    )
    await session.exec(insert(MeterEvent).values(**row.model_dump()))
