"""Transcripts of recordings that were delivered without one, or with another one (D18).

The request is a row; the deployment `reconcile` makes a run for each that is due. An attempt reads
the tracks from storage, stores the transcript and then the manifest's next revision, and bills the
add-on under that revision. What an attempt did before it died is found in the manifest.

A living attempt renews its claim; one that died is followed by another within seconds. When all
of them have failed, the manifest stops saying `pending` and says `failed`, and why.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path
from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from bot.racing import first_of
from core.dispatch.prefect import PrefectDispatcher
from core.dispatch.queues import HOUSEKEEPING
from core.errors import (
    ObjectMissing,
    StaleAttempt,
    StorageError,
    TranscriptionError,
    Unavailable,
)
from core.jobs.models import Job
from core.jobs.settlement import charge_transcript
from core.jobs.spec import TranscriptionOptions
from core.recordings.manifest import (
    MANIFEST_NAME,
    Manifest,
    Track,
    with_transcript,
    without_transcript,
)
from core.storage.base import Storage
from core.transcripts import requests
from core.transcripts.models import TranscriptRequest
from flows import delivery
from flows.resources import Resources, open_resources
from transcription.audio import audible_spans
from transcription.transcript import SpeakerTrack

log = logging.getLogger(__name__)

DEPLOYMENT: Final = "transcribe/transcribe"
# An attempt takes the deadline of transcription, and so much for fetching and storing.
MARGIN_SECONDS: Final = 600
# A run that was lost before it took its request is made again after so long.
SLOT_SECONDS: Final = 600
DIED: Final = "The process that made the transcript died in every attempt."


async def hand_out(resources: Resources, runs: PrefectDispatcher) -> int:
    """Make a run for every request that is due; how many there are.

    Raises:
        Unavailable: the database or Prefect is away; call again.
    """
    now = resources.clock.now()
    at_once = resources.settings.transcription.at_once
    async with resources.database.begin() as session:
        due = await requests.due_requests(session, now=now, at_once=at_once)
    slot = int(now.timestamp()) // SLOT_SECONDS
    for row in due:
        key = f"{row.id}-{row.attempts}-{slot}"
        await runs.start(
            DEPLOYMENT,
            {"request_id": row.id},
            queue=HOUSEKEEPING,
            key=key,
            job_id=row.job_id,
        )
    return len(due)


async def attempt(resources: Resources, request_id: str) -> bool:
    """One attempt at a request; whether its transcript is there now."""
    async with resources.database.begin() as session:
        taken = await requests.take(session, request_id, now=resources.clock.now())
    if taken is None:
        return False
    job, row = taken
    try:
        return await first_of(_work(resources, job, row), _hold(resources, row))
    except StaleAttempt as error:
        log.warning("%s: %s", request_id, error.message)
        return False


async def _work(resources: Resources, job: Job, row: TranscriptRequest) -> bool:
    if requests.worn_out(row):
        await _give_up(resources, job, row, row.detail or DIED)
        return False
    seconds = resources.settings.transcription.deadline_seconds + MARGIN_SECONDS
    try:
        async with asyncio.timeout(seconds):
            storage = await resources.storage_of(job)
            manifest = await _made(resources, storage, job, row)
    except TimeoutError:
        why = f"The transcript was not ready within {seconds:g} s."
        await _failed(resources, job, row, why, passing=True)
        return False
    except (TranscriptionError, StorageError) as error:
        log.warning("%s: no transcript of %s: %s", row.id, job.id, error.message)
        await _failed(resources, job, row, delivery.told(error), passing=error.retryable)
        return False
    async with resources.database.begin() as session:
        now = resources.clock.now()
        if row.mode == "addon":
            await charge_transcript(
                session,
                job,
                manifest.recorded_seconds,
                revision=manifest.revision,
                prices=resources.settings.billing.prices,
                now=now,
            )
        await requests.complete(session, row.id, row.attempts, revision=manifest.revision, now=now)
    log.info("%s: the transcript of %s is revision %d", row.id, job.id, manifest.revision)
    return True


async def _hold(resources: Resources, row: TranscriptRequest) -> bool:
    """Renew the claim for as long as this process lives.

    Raises:
        StaleAttempt: another attempt has it.
    """
    while True:
        await resources.clock.sleep(requests.RENEW_SECONDS)
        try:
            await _still_ours(resources, row)
        except Unavailable as error:
            log.warning("%s could not be held: %s", row.id, error.message)


async def _made(
    resources: Resources, storage: Storage, job: Job, row: TranscriptRequest
) -> Manifest:
    """The manifest that names the transcript of this request."""
    manifest = await _manifest(storage, job)
    if any(made.request_id == row.id for made in manifest.transcripts):
        return manifest
    options = TranscriptionOptions.model_validate(
        {"mode": row.mode, "provider": row.provider, "language": row.language}
    )
    scratch = resources.settings.scratch_dir
    await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="transcript-") as folder:
        tracks = await asyncio.to_thread(_fetched, storage, job.id, manifest, Path(folder))
        transcript = await delivery.understood(job, options, tracks, resources)
    await _still_ours(resources, row)
    await delivery.store_transcript(transcript, storage)
    made = delivery.made_transcript(
        transcript, options, revision=manifest.revision + 1, request_id=row.id
    )
    return await _put(
        storage, with_transcript(manifest, made, lambda name: storage.uri(_key(job.id, name)))
    )


def _fetched(storage: Storage, job_id: str, manifest: Manifest, folder: Path) -> list[SpeakerTrack]:
    """The speakers' files, and where in them there is sound; blocks."""
    people = {person.id: person for person in manifest.participants}
    found = []
    for number, track in enumerate(_audio(manifest)):
        person = people.get(track.speaker_id or "")
        if person is None:
            continue
        path = folder / f"{number}.ogg"
        storage.get_file(f"recordings/{job_id}/{track.uri.rpartition(f'/{job_id}/')[2]}", path)
        found.append(
            SpeakerTrack(
                path=path,
                participant_id=person.id,
                speaker_label=person.speaker_label,
                display_name=person.display_name,
                duration_ms=track.end_offset_ms - track.start_offset_ms,
                speech=audible_spans(path),
            )
        )
    return found


def _audio(manifest: Manifest) -> list[Track]:
    return [track for track in manifest.tracks if track.kind == "per-speaker"]


async def _still_ours(resources: Resources, row: TranscriptRequest) -> None:
    """Also before what every attempt would write under the same names.

    Raises:
        StaleAttempt: another attempt has it, or the recording was erased.
    """
    async with resources.database.begin() as session:
        await requests.renew(session, row.id, row.attempts, now=resources.clock.now())


async def _failed(
    resources: Resources, job: Job, row: TranscriptRequest, why: str, *, passing: bool
) -> None:
    """Try again later, or say in the manifest that there is no transcript to wait for."""
    if not passing or row.attempts >= requests.MOST_ATTEMPTS:
        await _give_up(resources, job, row, why)
        return
    async with resources.database.begin() as session:
        now = resources.clock.now()
        await requests.postpone(session, row.id, row.attempts, why, now=now)


async def _give_up(resources: Resources, job: Job, row: TranscriptRequest, why: str) -> None:
    """First the manifest, then the row: a process that dies in between leaves it to the next."""
    try:
        await _still_ours(resources, row)
        await _no_longer_pending(await resources.storage_of(job), job, why)
    except TranscriptionError as gone:
        log.info("%s: %s", job.id, gone.message)
    except StorageError as error:
        if row.attempts < requests.LAST_ATTEMPT:
            async with resources.database.begin() as session:
                now = resources.clock.now()
                await requests.postpone(session, row.id, row.attempts, why, now=now, hopeless=True)
            return
        log.warning("%s: its manifest still says pending: %s", job.id, error.message)
    async with resources.database.begin() as session:
        await requests.fail(session, row.id, row.attempts, why, now=resources.clock.now())


async def _no_longer_pending(storage: Storage, job: Job, why: str) -> None:
    manifest = await _manifest(storage, job)
    if manifest.transcript == "pending":
        await _put(storage, without_transcript(manifest, why))


async def _manifest(storage: Storage, job: Job) -> Manifest:
    try:
        data = await asyncio.to_thread(storage.get_bytes, _key(job.id, MANIFEST_NAME))
    except ObjectMissing:
        raise TranscriptionError("The recording is not in storage any more.") from None
    return Manifest.model_validate_json(data)


async def _put(storage: Storage, manifest: Manifest) -> Manifest:
    key = _key(manifest.job_id, MANIFEST_NAME)
    await asyncio.to_thread(storage.put_bytes, key, manifest.to_json(), "application/json")
    return manifest


def _key(job_id: str, name: str) -> str:
    return f"{delivery.prefix(job_id)}{name}"


@task(cache_policy=NO_CACHE)
async def make_transcript(request_id: str) -> bool:
    """Fetch the tracks, have them transcribed, store the transcript and the manifest."""
    async with open_resources() as resources:
        return await attempt(resources, request_id)


@flow(name="transcribe", flow_run_name="{request_id}")
async def transcribe(request_id: str) -> bool:
    """Make a transcript of a delivered recording."""
    return await make_transcript(request_id)
