"""The manifest: one JSON document that says what a recording holds (requirements.md section 6).

It carries both shapes of the reference, `artifacts` with `participants` and `tracks` with
`speakers`, so that a reader of either works (CON-26).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from core.clock import rfc3339
from core.jobs.failures import ExitReason, FailureCode
from core.recordings.evidence import EvidenceFile
from core.recordings.recording import (
    Attribution,
    Isolation,
    MediaFile,
    Recording,
    Span,
    TrackKind,
)
from core.texts import plain_text

SCHEMA_VERSION: Final = 1
MANIFEST_NAME: Final = "manifest.json"
LONGEST_REASON: Final = 500
TranscriptState = Literal["off", "pending", "ready", "failed"]
Moment = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]
Milliseconds = Annotated[int, Field(ge=0)]
Uri = Annotated[str, Field(pattern=r"^s3://[^/]+/.+")]
TrackFormat = Literal["opus", "webm", "mkv"]
# By media type. Video as it was sent is in Matroska where WebM may not hold its codec.
FORMATS: Final[Mapping[str, TrackFormat]] = {
    "audio/ogg": "opus",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
}


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ManifestParticipant(_Part):
    id: str
    display_name: str
    speaker_label: str


class ManifestSpeaker(_Part):
    id: str
    display_name: str


class Stored(_Part):
    uri: Uri
    mime_type: str
    bytes: int | None = None


class SpeakerAudio(_Part):
    participant_id: str
    uri: Uri
    mime_type: Literal["audio/ogg"] = "audio/ogg"
    bytes: int


class TranscriptArtifact(_Part):
    """Both renderings of the transcript; absent until there is one."""

    uri: Uri
    mime_type: Literal["application/json"] = "application/json"
    vtt_uri: Uri


class ManifestTranscript(_Part):
    """A transcript that was made; `revision` is that of the manifest which named it first.

    With `addon` it is ours, and charged under that revision.
    """

    revision: Annotated[int, Field(ge=1)]
    mode: Literal["addon", "byok"]
    provider: str
    model: str
    language: str
    request_id: str | None = None


class Artifacts(_Part):
    """Optional parts are absent, not null, when they were not produced (MF-06)."""

    tab_video: Stored | None
    per_speaker_audio: list[SpeakerAudio]
    captions: Stored | None = None
    chat: Stored | None = None
    screenshare: Stored | None = None
    transcript: TranscriptArtifact | None = None


class Encoding(_Part):
    mime_type: str


class ManifestSpan(_Part):
    """A stretch of recording time, in milliseconds since its start."""

    start_ms: Milliseconds
    end_ms: Milliseconds
    reason: str


class Track(_Part):
    """One media object. Attribution, isolation and confidence say whose voice it is (D24)."""

    track_id: str
    kind: TrackKind
    format: TrackFormat
    speaker_id: str | None
    uri: Uri
    bytes: int
    sha256: str
    encoding: Encoding
    start_offset_ms: Milliseconds
    end_offset_ms: Milliseconds
    attribution: Attribution | None = None
    isolation: Isolation | None = None
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    gaps: list[ManifestSpan] = []


class ManifestEvent(_Part):
    """`leaveApprox`: the platform says late who has left; `at` is the earliest it can have been."""

    type: Literal["participant.join", "participant.leave"]
    participant_id: str
    display_name: str
    at: Moment
    leave_approx: bool = False


class Manifest(_Part):
    """The whole document (MF-01). `durationSeconds` equals `recordedSeconds`, what is billed."""

    schema_version: Literal[1] = 1
    revision: Annotated[int, Field(ge=1)] = 1
    job_id: str
    external_id: str
    platform: str
    started_at: Moment
    ended_at: Moment
    duration_seconds: Annotated[int, Field(ge=0)]
    recorded_seconds: Annotated[int, Field(ge=0)]
    exit_reason: ExitReason
    partial: bool
    failure_code: FailureCode | None
    participants: list[ManifestParticipant]
    speakers: list[ManifestSpeaker]
    artifacts: Artifacts
    tracks: list[Track]
    chat_uri: Uri | None
    transcript: TranscriptState
    # Why there is none, where `transcript` is `failed`.
    transcript_failure: str | None = None
    # All that were ever made; the last one is what the artifact holds.
    transcripts: list[ManifestTranscript] = []
    pauses: list[ManifestSpan]
    gaps: list[ManifestSpan]
    events: list[ManifestEvent]
    # What pages showed that kept the bot out or threw it out; empty when all went well.
    evidence: list[EvidenceFile] = []

    def to_json(self) -> bytes:
        """The bytes of `manifest.json`."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"artifacts"})
        content["artifacts"] = {
            "tabVideo": None,
            **self.artifacts.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        return json.dumps(content, ensure_ascii=False, indent=2).encode()


@dataclass(frozen=True)
class ManifestFacts:
    """What the recording itself does not know."""

    external_id: str
    platform: str
    failure_code: FailureCode | None = None
    revision: int = 1
    transcript: TranscriptState = "off"
    transcript_failure: str | None = None
    made: ManifestTranscript | None = None
    evidence: tuple[EvidenceFile, ...] = ()
    # The names of transcript.json and transcript.vtt are fixed; these texts exist in storage.
    texts: frozenset[str] = field(default_factory=frozenset)


def build_manifest(
    recording: Recording, facts: ManifestFacts, uri_of: Callable[[str], str]
) -> Manifest:
    """The manifest of a recording whose objects are all in storage (MF-11).

    Args:
        uri_of: the absolute `s3://…` URI of an object by its name below `recordings/<jobId>/`.
    """
    people = [person for person in recording.participants if not person.is_bot]
    texts = facts.texts | frozenset(recording.texts)
    return Manifest(
        revision=facts.revision,
        job_id=recording.job_id,
        external_id=facts.external_id,
        platform=facts.platform,
        started_at=recording.started_at,
        ended_at=recording.ended_at,
        duration_seconds=recording.recorded_seconds,
        recorded_seconds=recording.recorded_seconds,
        exit_reason=recording.exit_reason,
        partial=facts.failure_code is not None,
        failure_code=facts.failure_code,
        participants=[
            ManifestParticipant(
                id=person.id,
                display_name=person.display_name,
                speaker_label=person.speaker_label,
            )
            for person in people
        ],
        speakers=[ManifestSpeaker(id=p.id, display_name=p.display_name) for p in people],
        artifacts=_artifacts(recording, texts, facts.transcript, uri_of),
        tracks=[_track(media, uri_of) for media in recording.media],
        chat_uri=uri_of("chat.jsonl") if "chat.jsonl" in texts else None,
        transcript=facts.transcript,
        transcript_failure=_reason(facts.transcript_failure),
        transcripts=[facts.made] if facts.made is not None else [],
        pauses=_spans(recording.pauses),
        gaps=_spans(recording.gaps),
        events=[
            ManifestEvent(
                type=entry.type,
                participant_id=entry.participant_id,
                display_name=entry.display_name,
                at=entry.at,
                leave_approx=entry.approx,
            )
            for entry in recording.roster
        ],
        evidence=list(facts.evidence),
    )


def with_transcript(
    manifest: Manifest, made: ManifestTranscript, uri_of: Callable[[str], str]
) -> Manifest:
    """The next revision, which names a transcript that was made later."""
    artifact = _transcript_artifact(uri_of)
    return manifest.model_copy(
        update={
            "revision": made.revision,
            "transcript": "ready",
            "transcript_failure": None,
            "transcripts": [*manifest.transcripts, made],
            "artifacts": manifest.artifacts.model_copy(update={"transcript": artifact}),
        }
    )


def without_transcript(manifest: Manifest, why: str) -> Manifest:
    """The next revision of a manifest whose transcript was pending, and will not come."""
    update = {"transcript": "failed", "transcript_failure": _reason(why)}
    return manifest.model_copy(update={**update, "revision": manifest.revision + 1})


def local_audio_name(speaker_label: str, display_name: str, number: int = 1) -> str:
    """What an audio file is called on a person's disk: `A-Alice_Chen.ogg` (MF-15).

    Args:
        number: 1 for a speaker's first file, then 2, 3…
    """
    spaced = re.sub(r"\s+", "_", display_name.strip())
    name = "".join(c for c in spaced if c not in "/\\" and unicodedata.category(c)[0] != "C")[:100]
    suffix = f"-{number}" if number > 1 else ""
    return f"{speaker_label}-{name}{suffix}.ogg"


def _reason(text: str | None) -> str | None:
    return None if text is None else plain_text(text, LONGEST_REASON)


def _artifacts(
    recording: Recording,
    texts: frozenset[str],
    transcript: TranscriptState,
    uri_of: Callable[[str], str],
) -> Artifacts:
    def first_of(kind: TrackKind) -> Stored | None:
        for media in recording.media:
            if media.kind == kind:
                return Stored(uri=uri_of(media.name), mime_type=media.mime_type, bytes=media.bytes)
        return None

    def text(name: str, mime_type: str) -> Stored | None:
        return Stored(uri=uri_of(name), mime_type=mime_type) if name in texts else None

    return Artifacts(
        tab_video=first_of("tab-video"),
        per_speaker_audio=[
            SpeakerAudio(
                participant_id=media.participant_id,
                uri=uri_of(media.name),
                bytes=media.bytes,
            )
            for media in recording.media
            if media.kind == "per-speaker" and media.participant_id is not None
        ],
        captions=text("captions.vtt", "text/vtt"),
        chat=text("chat.json", "application/json"),
        screenshare=first_of("screenshare"),
        transcript=_transcript_artifact(uri_of) if transcript == "ready" else None,
    )


def _transcript_artifact(uri_of: Callable[[str], str]) -> TranscriptArtifact:
    return TranscriptArtifact(uri=uri_of("transcript.json"), vtt_uri=uri_of("transcript.vtt"))


def _track(media: MediaFile, uri_of: Callable[[str], str]) -> Track:
    return Track(
        track_id=media.track_id,
        kind=media.kind,
        format=FORMATS[media.mime_type],
        speaker_id=media.participant_id,
        uri=uri_of(media.name),
        bytes=media.bytes,
        sha256=media.sha256,
        encoding=Encoding(mime_type=media.encoding),
        start_offset_ms=media.start_offset_ms,
        end_offset_ms=media.end_offset_ms,
        attribution=media.attribution,
        isolation=media.isolation,
        confidence=media.confidence,
        gaps=_spans(media.gaps),
    )


def _spans(spans: tuple[Span, ...]) -> list[ManifestSpan]:
    return [ManifestSpan(start_ms=s.start_ms, end_ms=s.end_ms, reason=s.reason) for s in spans]
