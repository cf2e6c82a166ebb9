"""What happens in a job besides its moves: told to watchers, and to webhooks where they ask."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StrictBool
from pydantic.alias_generators import to_camel
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import JOBS_CHANNEL, notify
from core.jobs.live_models import JobNotice, NoticeKind
from core.jobs.rows import locked_job
from core.texts import plain_text
from core.webhooks.events import EventName
from core.webhooks.outbox import emit

# The page says what people are called, and it may say anything (design.md D19).
Name = Annotated[str, AfterValidator(lambda name: plain_text(name, 200))]


class Consent(BaseModel):
    """What somebody in the room said to the request to record (PL-20)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    at: AwareDatetime
    granted: StrictBool
    participant_id: Name | None
    display_name: Name


class CompetingBot(BaseModel):
    """Another company's notetaker in the room; `leaving` says that ours goes for it (LC-30)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    at: AwareDatetime
    participant_id: Name
    display_name: Name
    bot_name: Name
    leaving: StrictBool


async def note(
    session: AsyncSession,
    job_id: str,
    kind: NoticeKind,
    data: dict[str, Any],
    *,
    at: datetime,
    fence: int | None = None,
) -> None:
    """Tell the job's watchers; they hear it when the transaction commits."""
    session.add(JobNotice(job_id=job_id, kind=kind, fence=fence, data=data, at=at))
    await session.flush()
    await notify(session, JOBS_CHANNEL, job_id)


async def consent_answered(
    session: AsyncSession, job_id: str, answer: Consent, *, fence: int, now: datetime
) -> None:
    """Pass an answer on, as `bot.recording_permission_response`; nothing of a job that is over.

    Raises:
        StaleAttempt: a newer attempt holds the job.
    """
    job = await locked_job(session, job_id, fence=fence)
    if job.status.terminal:
        return
    data = {
        "granted": answer.granted,
        "participantId": answer.participant_id,
        "displayName": answer.display_name,
    }
    await emit(session, job, EventName.PERMISSION_RESPONSE, data, now=now)
    await note(session, job_id, NoticeKind.CONSENT, data, at=answer.at, fence=fence)


async def competing_bot_seen(
    session: AsyncSession, job_id: str, seen: CompetingBot, *, fence: int, now: datetime
) -> None:
    """Tell of a notetaker once, as `bot.competing_bot_detected` (LC-30).

    Raises:
        StaleAttempt: a newer attempt holds the job.
    """
    job = await locked_job(session, job_id, fence=fence)
    if job.status.terminal or await _told(session, job_id, seen, fence):
        return
    data = {
        "leftMeeting": seen.leaving,
        "botName": seen.bot_name,
        "participantId": seen.participant_id,
        "displayName": seen.display_name,
    }
    await emit(session, job, EventName.COMPETING_BOT, data, now=now)
    await note(session, job_id, NoticeKind.COMPETING_BOT, data, at=seen.at, fence=fence)


async def notices(session: AsyncSession, job_id: str, *, after_seq: int = 0) -> Sequence[JobNotice]:
    """A job's notices in their order, those after `after_seq`."""
    statement = (
        select(JobNotice)
        .where(JobNotice.job_id == job_id, col(JobNotice.seq) > after_seq)
        .order_by(col(JobNotice.seq))
    )
    return (await session.exec(statement)).all()


async def _told(session: AsyncSession, job_id: str, seen: CompetingBot, fence: int) -> bool:
    """Participants' ids are an attempt's own: after a crash the same bot is known by its name."""
    statement = select(JobNotice).where(
        JobNotice.job_id == job_id, JobNotice.kind == NoticeKind.COMPETING_BOT
    )
    return any(
        earlier.data["participantId"] == seen.participant_id
        or (earlier.fence != fence and earlier.data["displayName"] == seen.display_name)
        for earlier in (await session.exec(statement)).all()
    )
