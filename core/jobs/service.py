"""What is asked of a job and reported about it while it lives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import JOBS_CHANNEL, notify
from core.errors import InvalidState, NotFound, StaleAttempt
from core.jobs import commands
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import BEFORE_ROOM, IN_CALL, Event, RecordingState, Status
from core.jobs.models import Job, JobCommand
from core.jobs.rows import ABSENT, leased, locked_job
from core.jobs.rules import check_allowed
from core.jobs.settlement import Settlement, settle
from core.jobs.transitions import move
from core.jobs.verbs import Outcome, Verb
from core.texts import plain_text


class LiveSpeaker(BaseModel):
    """One participant as the live view shows it; `level` is 0-1, None when unknown."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    participant_id: str
    display_name: Annotated[str, AfterValidator(lambda name: plain_text(name, 200))]
    level: float | None
    recorded_seconds: float


class LiveProgress(BaseModel):
    """The last word of a recording bot, about once a second."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    at: AwareDatetime
    recorded_seconds: float
    bytes_journalled: int
    participants: tuple[LiveSpeaker, ...] = Field(default=())


@dataclass(frozen=True)
class Cancellation:
    """`over`: the job is cancelled now. Otherwise its bot was told and will end it."""

    job: Job
    over: bool
    command: JobCommand | None = None


@dataclass(frozen=True)
class Departure:
    """As a cancellation, always with the command that the caller is promised."""

    job: Job
    over: bool
    command: JobCommand


async def apply_event(
    session: AsyncSession,
    job_id: str,
    event: Event,
    *,
    fence: int,
    now: datetime,
    at: datetime | None = None,
    recording_state: RecordingState | None = None,
) -> Job:
    """What an attempt reports of its job's life. Terminal events go through `settle`.

    Raises:
        InvalidState: the lifecycle has no such move from here (LC-02).
        StaleAttempt: a newer attempt holds the job.
    """
    if event in {Event.COMPLETED, Event.FAILED, Event.CANCELLED}:
        raise InvalidState(f"The event {event} ends a job; it needs a settlement.")
    job = await locked_job(session, job_id, fence=fence)
    await move(session, job, event, now=now, at=at, recording_state=recording_state)
    await session.flush()
    return job


async def request_cancel(session: AsyncSession, job_id: str, *, now: datetime) -> Cancellation:
    """End the job as `cancelled` (API-03): now, when no bot works on it; else by its bot.

    Raises:
        InvalidState: it is finalizing, completed or failed.
    """
    job = await locked_job(session, job_id)
    if job.status is Status.CANCELLED:
        return Cancellation(job, over=True)
    if job.status is Status.FINALIZING or job.status.terminal:
        raise InvalidState(f"The job is {job.status}; it can no longer be cancelled.")
    job.cancel_requested_at = job.cancel_requested_at or now
    if job.status in BEFORE_ROOM and not leased(job, now):
        return Cancellation(await _end_without_bot(session, job, now), over=True)
    command = await commands.issue(session, job_id, Verb.CANCEL, now=now)
    return Cancellation(job, over=False, command=command)


async def request_leave(session: AsyncSession, job_id: str, *, now: datetime) -> Departure:
    """Have the bot leave and deliver (LC-14); before it is in the room this cancels (API-68).

    Raises:
        InvalidState: the bot has left already.
    """
    job = await locked_job(session, job_id)
    check_allowed(Verb.LEAVE, job.status, job.recording_state)
    if job.status in IN_CALL:
        command = await commands.issue(session, job_id, Verb.LEAVE, now=now)
        return Departure(job, over=False, command=command)
    done = await request_cancel(session, job_id, now=now)
    if done.command is not None:
        return Departure(done.job, over=False, command=done.command)
    # Nobody is there to be told.
    command = await commands.issue(session, job_id, Verb.CANCEL, now=now)
    command = await commands.settle(session, command.id, Outcome.DONE, now=now)
    return Departure(done.job, over=True, command=command)


async def save_progress(
    session: AsyncSession, job_id: str, progress: LiveProgress, *, fence: int, now: datetime
) -> None:
    """Keep the snapshot that the live view shows.

    Raises:
        StaleAttempt: a newer attempt holds the job.
    """
    values = {"progress": progress.model_dump(mode="json", by_alias=True), "updated_at": now}
    done = await session.exec(
        update(Job)
        .where(col(Job.id) == job_id, col(Job.fence) == fence)
        .values(values)
        .returning(col(Job.id))
        .execution_options(synchronize_session=False)
    )
    if done.one_or_none() is None:
        raise StaleAttempt(f"Attempt {fence} of {job_id} is outdated.")
    await notify(session, JOBS_CHANNEL, job_id)


async def set_flow_run(
    session: AsyncSession, job_id: str, flow_run_id: str, *, now: datetime
) -> Job:
    """Remember which flow run takes the job (AR-03)."""
    job = await locked_job(session, job_id)
    job.flow_run_id, job.updated_at = flow_run_id, now
    return job


async def set_room(
    session: AsyncSession, job_id: str, driver: str, room_url: str, *, fence: int
) -> Job:
    """Where the bot goes instead of the meeting URL: a scripted room of a test job (D13)."""
    job = await locked_job(session, job_id, fence=fence)
    job.driver, job.room_url = driver, room_url
    return job


async def find_job(session: AsyncSession, job_id: str) -> Job:
    """A job by its exact id, for tasks.

    Raises:
        NotFound: no such job.
    """
    job = await session.get(Job, job_id, populate_existing=True)
    if job is None:
        raise NotFound(ABSENT.format(id=job_id))
    return job


async def _end_without_bot(session: AsyncSession, job: Job, now: datetime) -> Job:
    # An attempt that is dead for us may still wake up: its number must be outdated by then.
    if job.fence:
        job.fence += 1
    cancelled = Settlement(exit_reason=ExitReason.CANCELLED, cancelled=True)
    return await settle(session, job.id, cancelled, now=now)
