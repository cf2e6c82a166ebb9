"""The one function that moves a job (AR-11, LC-02)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import JOBS_CHANNEL, notify
from core.jobs.lifecycle import Event, RecordingState, Status, advance
from core.jobs.models import Job, Transition
from core.webhooks.events import EventName
from core.webhooks.outbox import emit

# What an event means for the recording, unless the reporter says otherwise (LC-05).
RECORDING_STATES: Final = {
    Event.MEDIA_CAPTURED: RecordingState.RECORDING,
    Event.RECORDING_PAUSED: RecordingState.PAUSED,
    Event.RECORDING_RESUMED: RecordingState.RECORDING,
    Event.RECORDING_STOPPED: RecordingState.STOPPED,
    Event.LEFT: RecordingState.STOPPED,
}


async def move(
    session: AsyncSession,
    job: Job,
    event: Event,
    *,
    now: datetime,
    at: datetime | None = None,
    recording_state: RecordingState | None = None,
) -> None:
    """Take `event` to a locked job: status, times, history and `job.status_changed` (WH-02).

    Args:
        at: when it happened, where that is earlier than `now`, when we learn of it.

    Raises:
        InvalidState: the lifecycle has no such move.
    """
    previous = job.status
    job.status = advance(previous, event)
    job.recording_state = recording_state or _recording_state(job, event)
    if job.status is Status.RECORDING and job.started_at is None:
        job.started_at = at or now
    if job.status.terminal:
        job.ended_at = job.ended_at or at or now
    job.updated_at = now
    session.add(
        Transition(
            job_id=job.id,
            event=event,
            previous_status=previous,
            status=job.status,
            recording_state=job.recording_state,
            at=at or now,
        )
    )
    if job.status is previous:
        # A pause is for those who watch; webhooks tell of statuses (WH-02).
        await notify(session, JOBS_CHANNEL, job.id)
        return
    extra = {"previousStatus": previous.value, "recordingState": job.recording_state.value}
    await emit(session, job, EventName.STATUS_CHANGED, extra, now=now)
    await notify(session, JOBS_CHANNEL, job.id)


def _recording_state(job: Job, event: Event) -> RecordingState:
    """A recording that never began does not become a stopped one."""
    if job.recording_state is RecordingState.NOT_STARTED and event is not Event.MEDIA_CAPTURED:
        return RecordingState.NOT_STARTED
    if job.status.terminal:
        return RecordingState.STOPPED
    return RECORDING_STATES.get(event, job.recording_state)
