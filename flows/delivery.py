"""From a journal to a delivered recording: the steps after the meeting, without Prefect."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from pathlib import Path

from bot.recording.bundles import journal_prefix
from bot.recording.delivery import deliver, forget
from bot.recording.delivery import discard as discard_delivered
from bot.recording.finalize import finalize as make_final
from core.errors import MeetbotError, ModelMissing, StorageError, TranscriptionError
from core.jobs.models import Job
from core.jobs.spec import TranscriptionOptions
from core.recordings.manifest import (
    MANIFEST_NAME,
    ManifestFacts,
    ManifestTranscript,
    TranscriptState,
    build_manifest,
)
from core.recordings.recording import Recording
from core.storage.base import Storage
from core.transcripts.settings import ProviderAccess, provider_access
from core.webvtt import Cue, webvtt
from flows.outcome import Outcome
from flows.patience import answered
from flows.resources import Resources
from transcription.engines.choosing import create_engine
from transcription.transcript import SpeakerTrack, Transcript
from transcription.transcript import transcribe as understand

log = logging.getLogger(__name__)

TRANSCRIPT_JSON = "transcript.json"
TRANSCRIPT_VTT = "transcript.vtt"
# After the meeting nobody waits in a call for this process; live ones on the machine go first.
AFTER_CALL_NICENESS = 10


def prefix(job_id: str) -> str:
    """Where a job's objects lie (section 6 of the requirements)."""
    return f"recordings/{job_id}/"


async def finalize(work_dir: Path, job_id: str) -> Recording:
    """The final files of a job, made from its journals.

    Raises:
        JournalError: there is no usable journal.
    """
    recording = await asyncio.to_thread(make_final, work_dir)
    seconds, files = recording.recorded_seconds, len(recording.media)
    log.info("%s: %d s recorded, %d media files", job_id, seconds, files)
    return recording


async def upload(recording: Recording, storage: Storage) -> None:
    """Put every file of a recording into storage and verify it there by size and checksum."""
    await asyncio.to_thread(deliver, recording, storage, prefix(recording.job_id))


async def transcribe(job: Job, recording: Recording, resources: Resources) -> Transcript | None:
    """Transcribe as the job asked; None when it wants no transcript, or none yet.

    Raises:
        TranscriptionError: the model or the key is missing, or it failed, or it took too long.
    """
    options = TranscriptionOptions.model_validate(job.transcription)
    if options.mode == "off" or not options.wait:
        return None
    return await understood(job, options, _tracks(recording), resources)


async def understood(
    job: Job, options: TranscriptionOptions, tracks: list[SpeakerTrack], resources: Resources
) -> Transcript:
    """What was said on `tracks`, by our own engine or by the team's provider.

    Raises:
        TranscriptionError: as `transcribe`.
    """
    seconds = resources.settings.transcription.deadline_seconds
    access = None
    if options.mode == "byok":
        access = await answered(resources.clock, lambda: _access(job, options, resources))
    engine = create_engine(access, resources.settings)
    os.nice(AFTER_CALL_NICENESS)
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.to_thread(understand, job.id, tracks, engine, options.language)
    except TimeoutError:
        raise TranscriptionError(
            f"The transcript was not ready within {seconds:g} s "
            "(MEETBOT_TRANSCRIPTION__DEADLINE_SECONDS)."
        ) from None


async def _access(job: Job, options: TranscriptionOptions, resources: Resources) -> ProviderAccess:
    async with resources.database.begin() as session:
        return await provider_access(session, resources.box, job.team_id, options.provider)


async def hand_over(
    job: Job,
    outcome: Outcome,
    transcript: Transcript | None,
    failure: TranscriptionError | None,
    storage: Storage,
) -> str:
    """Put the transcript and then the manifest, the last object of all; its URI (MF-11).

    Raises:
        StorageError: one of them could not be stored; call again.
    """
    recording = outcome.recording
    if recording is None:
        raise ValueError("There is no recording to describe.")
    made = None
    options = TranscriptionOptions.model_validate(job.transcription)
    outcome.transcript_later = options.mode != "off" and not options.wait
    if transcript is not None:
        await store_transcript(transcript, storage)
        made = made_transcript(transcript, options, revision=1)
    # A provider's transcript is no charge of ours (BL-16).
    outcome.transcribed = made is not None and made.mode == "addon"
    root = prefix(job.id)
    failed = None if outcome.cancelled or outcome.failure is None else outcome.failure.failure
    manifest = build_manifest(
        recording,
        ManifestFacts(
            external_id=job.external_id,
            platform=job.platform,
            failure_code=failed,
            transcript=_state(outcome, transcript, failure),
            transcript_failure=None if failure is None else told(failure),
            made=made,
            evidence=outcome.evidence,
        ),
        lambda name: storage.uri(f"{root}{name}"),
    )
    key = f"{root}{MANIFEST_NAME}"
    await asyncio.to_thread(storage.put_bytes, key, manifest.to_json(), "application/json")
    return storage.uri(key)


def made_transcript(
    transcript: Transcript,
    options: TranscriptionOptions,
    *,
    revision: int,
    request_id: str | None = None,
) -> ManifestTranscript:
    """What the manifest says of a transcript."""
    return ManifestTranscript(
        revision=revision,
        mode="byok" if options.mode == "byok" else "addon",
        provider=transcript.provider,
        model=transcript.model,
        language=transcript.language,
        request_id=request_id,
    )


async def store_transcript(transcript: Transcript, storage: Storage) -> None:
    cues = (
        Cue(round(s.start * 1000), round(s.end * 1000), s.display_name, s.text)
        for s in transcript.segments
    )
    document = transcript.model_dump_json(by_alias=True, indent=2).encode()
    root = prefix(transcript.job_id)
    for name, data, mime in (
        (TRANSCRIPT_JSON, document, "application/json"),
        (TRANSCRIPT_VTT, webvtt(cues).encode(), "text/vtt"),
    ):
        await asyncio.to_thread(storage.put_bytes, f"{root}{name}", data, mime)


async def discard(work_dir: Path, job_id: str, storage: Storage) -> str | None:
    """Drop the journal in storage, then the local files; all of it was delivered.

    Returns what the bucket would not let go of, in words.
    """
    return await asyncio.to_thread(discard_delivered, work_dir, storage, prefix(job_id))


async def purge(work_dir: Path, job_id: str, storage: Storage) -> str | None:
    """Drop what was recorded of a meeting to which nobody came (LC-26); returns as `discard`.

    Storage that is away keeps nobody waiting either: there is nothing in it to lose.
    """
    return await asyncio.to_thread(_purge, work_dir, job_id, storage)


def _purge(work_dir: Path, job_id: str, storage: Storage) -> str | None:
    folder = journal_prefix(job_id)
    try:
        kept = forget(storage, [stored.key for stored in storage.list(folder)], folder)
    except StorageError as error:
        kept = (
            f"What lies below {folder} is of a meeting to which nobody came. It could not be "
            f"deleted: {error.message} Delete it when storage is back."
        )
        log.warning("%s", kept)
    shutil.rmtree(work_dir, ignore_errors=True)
    return kept


def _tracks(recording: Recording) -> list[SpeakerTrack]:
    people = {person.id: person for person in recording.participants}
    return [
        SpeakerTrack(
            path=media.path,
            participant_id=media.participant_id,
            speaker_label=people[media.participant_id].speaker_label,
            display_name=people[media.participant_id].display_name,
            duration_ms=media.end_offset_ms - media.start_offset_ms,
            speech=media.speech,
        )
        for media in recording.media
        if media.kind == "per-speaker" and media.participant_id in people
    ]


def told(error: MeetbotError) -> str:
    """Why there is no transcript, for the customer; the operator's paths are none of theirs."""
    if isinstance(error, ModelMissing):
        return "The speech model of this installation is not available."
    return error.message


def _state(
    outcome: Outcome, transcript: Transcript | None, failure: TranscriptionError | None
) -> TranscriptState:
    if outcome.transcript_later:
        return "pending"
    if failure is not None:
        return "failed"
    return "off" if transcript is None else "ready"
