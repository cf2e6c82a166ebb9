"""Recordings that storage refused, from the journal to the end of their job (design.md D9).

What is postponed belongs to the machine that has the files: its worker takes the runs of the
deployment `uploads` for it, each in a process of its own, because a transcript may be due. When a
machine has not been heard of for an hour, another one restores what had reached storage.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from pathlib import Path
from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from bot.recording.bundles import restore
from core.errors import (
    AuthFailure,
    BotFault,
    DispatchTimeout,
    HostDenied,
    LobbyTimeout,
    MeetingEnded,
    MeetingError,
    MeetingNotFound,
    NetworkLoss,
    QuotaExceeded,
    RecordingDisabled,
    RemovedFromMeeting,
    StaleAttempt,
    StorageError,
    TranscriptionError,
    WaitingForHost,
)
from core.jobs import postponed
from core.jobs.failures import FailureCode
from core.jobs.models import Job
from core.jobs.postponed import PostponedUpload
from core.recordings.evidence import EvidenceFile, evidence_key
from core.recordings.journal import JournalError, read_journals
from core.storage.base import Storage
from flows import delivery, evidence, settling
from flows.outcome import Outcome
from flows.resources import Resources, open_resources
from transcription.transcript import Transcript

log = logging.getLogger(__name__)

# Recordings taken on by one run; the others are due for the next.
BATCH: Final = 50
GONE: Final = (
    "Storage did not take the recording, and its files are neither on the machine {machine} nor "
    "in storage any more."
)
FAILURES: Final[dict[FailureCode, type[MeetingError]]] = {
    kind.failure: kind
    for kind in (
        AuthFailure,
        BotFault,
        DispatchTimeout,
        HostDenied,
        LobbyTimeout,
        MeetingEnded,
        MeetingNotFound,
        NetworkLoss,
        QuotaExceeded,
        RecordingDisabled,
        RemovedFromMeeting,
        WaitingForHost,
    )
}


async def postpone(
    resources: Resources, job_id: str, fence: int, outcome: Outcome, error: StorageError
) -> None:
    """Leave the recording of a meeting to this machine's later attempts.

    Raises:
        StaleAttempt: a newer attempt holds the job.
        Unavailable: the job store is away; call again.
    """
    settings = resources.settings
    async with resources.database.begin() as session:
        row = await postponed.postpone(
            session,
            job_id,
            outcome.settlement(),
            fence=fence,
            machine=settings.worker.name,
            error=error.message,
            keep_seconds=settings.storage.keep_seconds,
            now=_now(resources),
        )
    log.warning("%s waits for its storage until %s: %s", job_id, row.until, error.message)


async def take_on(resources: Resources, machine: str) -> int:
    """Try every recording of `machine` that is due once; returns how many were delivered."""
    async with resources.database.begin() as session:
        due = await postponed.due_uploads(session, machine, now=_now(resources), limit=BATCH)
    delivered = 0
    for job_id in due:
        try:
            delivered += await attempt(resources, job_id)
        except Exception as error:
            # A full disk, a damaged journal: whatever it is, the other recordings have their turn.
            log.exception("%s was not delivered", job_id)
            await _refused(resources, job_id, f"{type(error).__name__}: {error}")
    return delivered


async def attempt(resources: Resources, job_id: str) -> bool:
    """Deliver one recording, or note that storage still refuses it; whether its job has ended."""
    async with resources.database.begin() as session:
        taken = await postponed.take(session, job_id)
    if taken is None:
        return False
    job, row = taken
    try:
        storage = await resources.storage_of(job)
        if not job.status.terminal:
            outcome = await _deliver(resources, storage, job, row)
            await _end(resources, job, outcome)
        work_dir = resources.settings.work_dir / job_id
        files = await evidence.send(work_dir, job_id, storage)
        # Only now: whoever dies before this point finds everything where it was.
        await delivery.discard(work_dir, job_id, storage)
    except StorageError as error:
        await _refused(resources, job_id, error.message)
        return False
    except JournalError as error:
        log.warning("%s is lost: %s", job_id, error.message)
        await _end(resources, job, _gone(row))
        files = ()
    except StaleAttempt as error:
        log.warning("%s was taken over: %s", job_id, error.message)
        return False
    await _forget(resources, job_id, storage, files)
    return True


async def _forget(
    resources: Resources, job_id: str, storage: Storage, files: tuple[EvidenceFile, ...]
) -> None:
    async with resources.database.begin() as session:
        known = await postponed.forget(session, job_id, files)
    if not known and files:
        # Erased meanwhile, by somebody who did not see these any more (MF-22).
        keys = [evidence_key(job_id, file.name) for file in files]
        await asyncio.to_thread(storage.delete, keys)


async def _deliver(
    resources: Resources, storage: Storage, job: Job, row: PostponedUpload
) -> Outcome:
    outcome = _outcome(row)
    work_dir = resources.settings.work_dir / job.id
    if row.machine != resources.settings.worker.name or not await _is_here(work_dir):
        await asyncio.to_thread(restore, storage, job.id, work_dir)
    recording = await delivery.finalize(work_dir, job.id)
    outcome.recording, outcome.ended_at = recording, recording.ended_at
    await delivery.upload(recording, storage)
    outcome.evidence = await evidence.send(work_dir, job.id, storage)
    transcript: Transcript | None = None
    silence: TranscriptionError | None = None
    try:
        transcript = await delivery.transcribe(job, recording, resources)
    except TranscriptionError as error:
        silence = error
    outcome.manifest_uri = await delivery.hand_over(job, outcome, transcript, silence, storage)
    return outcome


async def _end(resources: Resources, job: Job, outcome: Outcome) -> None:
    """Status, usage and webhooks in one transaction, so that they follow exactly once."""
    await settling.settled(resources, job.id, outcome, fence=job.fence)
    await resources.courier.deliver_job(job.id)


async def _refused(resources: Resources, job_id: str, error: str) -> None:
    async with resources.database.begin() as session:
        await postponed.refused_again(session, job_id, error, now=_now(resources))


async def _is_here(work_dir: Path) -> bool:
    return bool(await asyncio.to_thread(read_journals, work_dir))


def _now(resources: Resources) -> datetime:
    return resources.clock.now()


def _gone(row: PostponedUpload) -> Outcome:
    """Nothing is left to deliver; the job has to end all the same."""
    lost = Outcome(exit_reason=row.exit_reason)
    lost.fail(BotFault(GONE.format(machine=row.machine)))
    return lost


def _outcome(row: PostponedUpload) -> Outcome:
    """How the meeting ended, as it was noted when the recording was postponed."""
    failure = None
    if row.failure_code is not None:
        kind = FAILURES[row.failure_code]
        failure = kind(row.failure_detail or "", row.adapter_error)
    return Outcome(exit_reason=row.exit_reason, failure=failure, cancelled=row.cancelled)


@task(cache_policy=NO_CACHE)
async def upload_postponed(machine: str) -> int:
    """Everything that is due on `machine`; 0 while another process is at it."""
    async with (
        open_resources() as resources,
        resources.database.exclusive(f"uploads@{machine}") as alone,
    ):
        if not alone:
            return 0
        return await take_on(resources, machine)


@flow(name="uploads")
async def uploads(machine: str) -> int:
    """Go on with the recordings of `machine` that storage did not take."""
    return await upload_postponed(machine)
