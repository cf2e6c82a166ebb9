"""Transcripts made after their recording was delivered: asked for, taken, finished (D18)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import and_, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import InvalidState, TranscriptPending
from core.ids import new_id
from core.jobs.models import Job
from core.jobs.rows import locked_job
from core.jobs.spec import TranscriptionOptions
from core.texts import plain_text
from core.transcripts.models import RequestStatus, TranscriptRequest

FIRST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(minutes=15)
MOST_ATTEMPTS: Final = 6
LONGEST_DETAIL: Final = 2000


async def request_transcript(
    session: AsyncSession, job: Job, options: TranscriptionOptions, *, now: datetime
) -> TranscriptRequest:
    """Have a transcript made; the same wish again, while it is pending, is the same request.

    Raises:
        InvalidState: the job has no recording, or none yet.
        TranscriptPending: another transcript of the job is being made.
    """
    job = await locked_job(session, job.id)
    if not job.status.terminal or job.manifest_uri is None:
        raise InvalidState(
            f"{job.id} is {job.status} and has no delivered recording; a transcript is made of one."
        )
    pending = await pending_request(session, job.id)
    wish = (options.mode, options.provider, options.language)
    if pending is not None:
        if (pending.mode, pending.provider, pending.language) == wish:
            return pending
        raise TranscriptPending(
            f"Another transcript of {job.id} is being made; ask again when it is ready."
        )
    mode, provider, language = wish
    row = TranscriptRequest(
        id=new_id("trn"),
        job_id=job.id,
        mode=mode,
        provider=provider,
        language=language,
        next_attempt_at=now,
        requested_at=now,
    )
    session.add(row)
    await session.flush()
    return row


async def pending_request(session: AsyncSession, job_id: str) -> TranscriptRequest | None:
    """The transcript of the job that is being made, if one is."""
    statement = select(TranscriptRequest).where(
        TranscriptRequest.job_id == job_id,
        col(TranscriptRequest.status) == RequestStatus.PENDING,
    )
    return (await session.exec(statement)).one_or_none()


async def last_request(session: AsyncSession, job_id: str) -> TranscriptRequest | None:
    """The transcript that was asked for last, whatever came of it."""
    statement = (
        select(TranscriptRequest)
        .where(TranscriptRequest.job_id == job_id)
        .order_by(col(TranscriptRequest.id).desc())
        .limit(1)
    )
    return (await session.exec(statement)).one_or_none()


async def due_requests(
    session: AsyncSession, *, now: datetime, at_once: int
) -> Sequence[TranscriptRequest]:
    """Those to begin now, the longest waiting first; at most `at_once` are at work together."""
    pending = col(TranscriptRequest.status) == RequestStatus.PENDING
    claimed = col(TranscriptRequest.claimed_until)
    busy = select(func.count()).select_from(TranscriptRequest).where(pending, claimed > now)
    free = at_once - (await session.exec(busy)).one()
    if free <= 0:
        return ()
    statement = (
        select(TranscriptRequest)
        .where(
            pending,
            and_(
                col(TranscriptRequest.next_attempt_at) <= now,
                or_(claimed.is_(None), claimed <= now),
            ),
        )
        .order_by(col(TranscriptRequest.next_attempt_at))
        .limit(free)
    )
    return (await session.exec(statement)).all()


async def take(
    session: AsyncSession, request_id: str, *, now: datetime, seconds: float
) -> tuple[Job, TranscriptRequest] | None:
    """The request for one attempt of at most so long; None when it is over or another's."""
    row = await session.get(TranscriptRequest, request_id, with_for_update=True)
    if row is None or row.status is not RequestStatus.PENDING:
        return None
    if row.claimed_until is not None and row.claimed_until > now:
        return None
    if row.attempts >= MOST_ATTEMPTS:
        # Its last attempts died without a word.
        row.status, row.finished_at = RequestStatus.FAILED, now
        row.detail = row.detail or "Every attempt ended without saying why."
        return None
    row.attempts += 1
    row.claimed_until = now + timedelta(seconds=seconds)
    return await session.get_one(Job, row.job_id), row


async def complete(session: AsyncSession, request_id: str, *, revision: int, now: datetime) -> None:
    """The transcript is in storage, named by the manifest of this revision."""
    row = await session.get_one(TranscriptRequest, request_id, with_for_update=True)
    row.status, row.revision, row.detail = RequestStatus.COMPLETED, revision, ""
    row.finished_at, row.claimed_until = now, None


async def postpone(
    session: AsyncSession, request_id: str, detail: str, *, passing: bool, now: datetime
) -> bool:
    """An attempt failed; whether there will be another one (`passing`: what failed may pass)."""
    row = await session.get_one(TranscriptRequest, request_id, with_for_update=True)
    row.detail, row.claimed_until = plain_text(detail, LONGEST_DETAIL), None
    if passing and row.attempts < MOST_ATTEMPTS:
        row.next_attempt_at = now + min(FIRST_WAIT * 2 ** (row.attempts - 1), LONGEST_WAIT)
        return True
    row.status, row.finished_at = RequestStatus.FAILED, now
    return False
