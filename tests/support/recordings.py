"""A recording as a finished job has it: objects and a manifest in storage."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.settlement import Settlement, settle
from core.recordings.manifest import ManifestFacts, TranscriptState, build_manifest
from core.recordings.recording import MediaFile, Participant, Recording, TrackKind
from core.storage.base import Storage
from tests.support.jobs import JobBook

ADA = Participant("prt_01HXY1AB7M2QNTWA9YQRH5JEP6", "p1", "Ada Lovelace", "A")
TRANSCRIPT = (
    '{"jobId":"%s","status":"completed","provider":"local","model":"tiny","language":"en",'
    '"text":"Ada Lovelace: Hello.","segments":[{"participantId":"prt_01HXY1AB7M2QNTWA9YQRH5JEP6",'
    '"speakerLabel":"A","displayName":"Ada Lovelace","start":0.5,"end":1.5,"text":"Hello."}]}'
)
VTT = "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\n<v Ada Lovelace>Hello.</v>\n"
CONTENT = {
    f"audio.{ADA.id}.ogg": b"OggS of Ada",
    f"audio.{ADA.id}-2.ogg": b"OggS of Ada, later",
    "tab.1.webm": b"\x1aE of the tab",
    "captions.vtt": b"WEBVTT\n",
}


def track(name: str, kind: TrackKind, track_id: str, participant_id: str | None) -> MediaFile:
    return MediaFile(
        track_id=track_id,
        kind=kind,
        name=name,
        path=Path(name),
        mime_type="audio/ogg" if kind == "per-speaker" else "video/webm",
        encoding="audio/ogg; codecs=opus" if kind == "per-speaker" else "video/webm",
        bytes=len(CONTENT[name]),
        sha256=64 * "0",
        participant_id=participant_id,
        start_offset_ms=0,
        end_offset_ms=90_000,
    )


async def delivered(
    book: JobBook,
    storage: Storage,
    *,
    transcript: TranscriptState = "off",
    **changes: object,
) -> Job:
    """A job that recorded, delivered and ended."""
    job = await book.add(**changes)
    await book.bring_to(job, Status.FINALIZING)
    prefix = f"recordings/{job.id}/"
    for name, data in CONTENT.items():
        storage.put_bytes(f"{prefix}{name}", data, "application/octet-stream")
    if transcript == "ready":
        storage.put_bytes(
            f"{prefix}transcript.json", (TRANSCRIPT % job.id).encode(), "application/json"
        )
        storage.put_bytes(f"{prefix}transcript.vtt", VTT.encode(), "text/vtt")
    audio, later, tab, _ = CONTENT
    recording = Recording(
        job_id=job.id,
        started_at=book.now - timedelta(seconds=90),
        ended_at=book.now,
        recorded_seconds=90,
        exit_reason=ExitReason.CALL_ENDED,
        participants=(ADA,),
        media=(
            track(audio, "per-speaker", ADA.id, ADA.id),
            track(later, "per-speaker", f"{ADA.id}-2", ADA.id),
            track(tab, "tab-video", "tab", None),
        ),
    )
    facts = ManifestFacts(
        external_id=job.external_id,
        platform=job.platform,
        transcript=transcript,
        texts=frozenset({"captions.vtt"}),
    )
    manifest = build_manifest(recording, facts, lambda name: storage.uri(f"{prefix}{name}"))
    storage.put_bytes(f"{prefix}manifest.json", manifest.to_json(), "application/json")
    ending = Settlement(
        ExitReason.CALL_ENDED,
        recorded_seconds=90,
        manifest_uri=storage.uri(f"{prefix}manifest.json"),
        ended_at=book.now,
    )
    async with book.database.begin() as session:
        return await settle(session, job.id, ending, now=book.now)
