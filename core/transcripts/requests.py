"""Transcripts made after their recording was delivered: asked for, taken, finished (D18)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import and_, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import InvalidState, StaleAttempt, TranscriptPending
from core.ids import new_id
from core.jobs.models import Job
from core.jobs.rows import locked_job
from core.jobs.spec import TranscriptionOptions
from core.texts import plain_text
from core.transcripts.models import RequestStatus, TranscriptRequest

# A living attempt renews its claim so often; a dead one is followed by another after a lease.
LEASE_SECONDS: Final = 10.0
RENEW_SECONDS: Final = 3.0
FIRST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(minutes=15)
MOST_ATTEMPTS: Final = 6
# Those after them only write down that there is no transcript: about a day for storage to return.
LAST_ATTEMPT: Final = MOST_ATTEMPTS + 100
MOST_DOUBLINGS: Final = 10
NO_WAIT: Final = timedelta()
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
    session: AsyncSession, request_id: str, *, now: datetime
) -> tuple[Job, TranscriptRequest] | None:
    """The request for one attempt, held for a lease; None when it is over or another's.

    Above `MOST_ATTEMPTS` there is nothing to try any more, only to say so (`worn_out`).
    """
    row = await session.get(TranscriptRequest, request_id, with_for_update=True)
    if row is None or row.status is not RequestStatus.PENDING:
        return None
    if row.claimed_until is not None and row.claimed_until > now:
        return None
    row.attempts += 1
    row.claimed_until = now + timedelta(seconds=LEASE_SECONDS)
    # Should it die: one more at once, the others later and later.
    row.next_attempt_at = now + (_wait(row.attempts - 1) if row.attempts > 1 else NO_WAIT)
    return await session.get_one(Job, row.job_id), row


def worn_out(row: TranscriptRequest) -> bool:
    """Whether every attempt has been made, the last ones maybe without a word."""
    return row.attempts > MOST_ATTEMPTS


async def renew(session: AsyncSession, request_id: str, attempt: int, *, now: datetime) -> None:
    """Go on holding the request; a late renewal succeeds while nobody else has taken it.

    Raises:
        StaleAttempt: somebody else has, or the recording was erased.
    """
    row = await _held(session, request_id, attempt)
    row.claimed_until = now + timedelta(seconds=LEASE_SECONDS)


async def let_go(session: AsyncSession, request_id: str) -> None:
    """Its process is known to be dead: the next attempt need not wait.

    Should another process hold it, that one takes it back with its next renewal.
    """
    row = await session.get(TranscriptRequest, request_id, with_for_update=True)
    if row is not None:
        row.claimed_until = None


async def complete(
    session: AsyncSession, request_id: str, attempt: int, *, revision: int, now: datetime
) -> None:
    """The transcript is in storage, named by the manifest of this revision.

    Raises:
        StaleAttempt: a newer attempt says so.
    """
    row = await _held(session, request_id, attempt)
    row.status, row.revision, row.detail = RequestStatus.COMPLETED, revision, ""
    row.finished_at, row.claimed_until = now, None


async def postpone(
    session: AsyncSession,
    request_id: str,
    attempt: int,
    detail: str,
    *,
    now: datetime,
    hopeless: bool = False,
) -> None:
    """An attempt failed, and another one may do better; `hopeless` leaves it only to say why.

    Raises:
        StaleAttempt: a newer attempt is at work.
    """
    row = await _held(session, request_id, attempt)
    row.detail, row.claimed_until = plain_text(detail, LONGEST_DETAIL), None
    if hopeless:
        row.attempts = max(row.attempts, MOST_ATTEMPTS)
    row.next_attempt_at = now + _wait(row.attempts)


async def fail(
    session: AsyncSession, request_id: str, attempt: int, detail: str, *, now: datetime
) -> None:
    """There will be no transcript; it may be asked for again.

    Raises:
        StaleAttempt: a newer attempt is at work.
    """
    row = await _held(session, request_id, attempt)
    row.detail, row.claimed_until = plain_text(detail, LONGEST_DETAIL), None
    row.status, row.finished_at = RequestStatus.FAILED, now


def _wait(failures: int) -> timedelta:
    return min(FIRST_WAIT * float(2 ** min(failures - 1, MOST_DOUBLINGS)), LONGEST_WAIT)


async def _held(session: AsyncSession, request_id: str, attempt: int) -> TranscriptRequest:
    row = await session.get(TranscriptRequest, request_id, with_for_update=True)
    if row is None:
        raise StaleAttempt("The recording was erased.")
    if row.attempts != attempt or row.status is not RequestStatus.PENDING:
        raise StaleAttempt(f"Attempt {attempt} was too slow; another one is at work.")
    return row
