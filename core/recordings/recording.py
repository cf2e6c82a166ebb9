"""A finished recording: what `finalize` makes of a journal and what manifests are built from.

All `…_ms` values are milliseconds since the start of the recording on the meeting's one clock;
files keep wall time, with silence in pauses and gaps (design.md D15).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from core.jobs.failures import ExitReason

TrackKind = Literal["per-speaker", "tab-video", "screenshare", "participant-video"]
Attribution = Literal[
    "track-owner", "csrc", "signalling", "active-speaker", "caption-author", "voice-gateway"
]
Isolation = Literal["track", "time-slice", "mixed-gated"]


@dataclass(frozen=True)
class Span:
    """A stretch of the recording without media; `reason` is for readers."""

    start_ms: int
    end_ms: int
    reason: str


@dataclass(frozen=True)
class Participant:
    """A person in the room. `id` (`prt_…`) is ours; `platform_id` is the page's claim."""

    id: str
    platform_id: str
    display_name: str
    speaker_label: str
    is_bot: bool = False
    is_host: bool = False


@dataclass(frozen=True)
class RosterEvent:
    type: Literal["participant.join", "participant.leave"]
    participant_id: str
    display_name: str
    at: datetime
    # The earliest moment at which it can have been, where a platform says so late.
    approx: bool = False


@dataclass(frozen=True)
class ChatMessage:
    at: datetime
    participant_id: str | None
    display_name: str
    text: str


@dataclass(frozen=True)
class Caption:
    start_ms: int
    end_ms: int
    participant_id: str | None
    display_name: str
    text: str


@dataclass(frozen=True)
class MediaFile:
    """One final media object, ready to be uploaded as `name` below `recordings/<jobId>/`."""

    track_id: str
    kind: TrackKind
    name: str
    path: Path
    mime_type: str
    encoding: str
    bytes: int
    sha256: str
    participant_id: str | None
    start_offset_ms: int
    end_offset_ms: int
    attribution: Attribution | None = None
    isolation: Isolation | None = None
    confidence: float | None = None
    gaps: tuple[Span, ...] = ()
    # Where this speaker's packets held sound, so that transcription decodes talk time only.
    speech: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Recording:
    """Everything a journal holds, in its final form."""

    job_id: str
    started_at: datetime
    ended_at: datetime
    recorded_seconds: int
    exit_reason: ExitReason
    participants: tuple[Participant, ...]
    media: tuple[MediaFile, ...]
    roster: tuple[RosterEvent, ...] = ()
    chat: tuple[ChatMessage, ...] = ()
    captions: tuple[Caption, ...] = ()
    pauses: tuple[Span, ...] = ()
    gaps: tuple[Span, ...] = ()
    # chat.jsonl, chat.json, captions.vtt: name -> file, written by finalize when there was any.
    texts: dict[str, Path] = field(default_factory=dict)


def speaker_label(index: int) -> str:
    """`A`…`Z`, then `AA`, `AB`…: the label of the `index`-th participant to appear (MF-02)."""
    label = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        label = chr(ord("A") + letter) + label
    return label
