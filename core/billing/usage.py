"""Writing usage: one event for the recording, one more for each transcript of ours (D15)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing.metering import NOTHING, Charge
from core.billing.models import UsageEvent, UsageKind
from core.ids import new_id


@dataclass(frozen=True)
class Account:
    """Whose usage it is."""

    job_id: str
    team_id: str
    livemode: bool


async def record_recording(
    session: AsyncSession, account: Account, outcome: Charge, *, now: datetime
) -> None:
    """The recording's one event (BL-02); a second call changes nothing."""
    event = _event(account, outcome, now)
    event.hours_billed, event.amount_usd = outcome.hours_billed, outcome.amount_usd
    await _insert_once(session, event)


async def record_transcript(
    session: AsyncSession, account: Account, outcome: Charge, *, revision: int, now: datetime
) -> None:
    """The event of a transcript of ours, once per revision (BL-15)."""
    event = _event(account, outcome, now)
    event.kind, event.revision = UsageKind.TRANSCRIPTION, revision
    event.transcription_hours_billed = outcome.transcription_hours_billed
    event.transcription_amount_usd = outcome.transcription_amount_usd
    await _insert_once(session, event)


def _event(account: Account, outcome: Charge, now: datetime) -> UsageEvent:
    return UsageEvent(
        id=new_id("use"),
        job_id=account.job_id,
        team_id=account.team_id,
        livemode=account.livemode,
        seconds=outcome.seconds,
        billed=outcome.billed,
        hours_billed=NOTHING,
        amount_usd=NOTHING,
        transcription_hours_billed=NOTHING,
        transcription_amount_usd=NOTHING,
        recorded_at=now,
    )


async def _insert_once(session: AsyncSession, event: UsageEvent) -> None:
    """Rows are never changed: the first one for its job, kind and revision stays."""
    values = event.model_dump()
    await session.exec(insert(UsageEvent).values(**values).on_conflict_do_nothing())
