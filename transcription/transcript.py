"""From speakers' tracks to one transcript, merged by time (AR-10).

Every track is one person, so nothing is guessed about who spoke.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from core.recordings.recording import Span
from transcription.engine import Engine, Word
from transcription.speech import Packed, pack

# A pause this long inside one speaker's speech starts a new segment.
SEGMENT_GAP_SECONDS: Final = 1.0
# Longer segments are split at the next word, so that captions stay readable.
SEGMENT_SECONDS: Final = 20.0


@dataclass(frozen=True)
class SpeakerTrack:
    """One speaker's audio file and where in it there is speech."""

    path: Path
    participant_id: str
    speaker_label: str
    display_name: str
    duration_ms: int
    speech: Sequence[Span]


class Segment(BaseModel):
    """Consecutive words of one speaker; seconds since the recording began."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    participant_id: str
    speaker_label: str
    display_name: str
    start: float
    end: float
    text: str


class Transcript(BaseModel):
    """`transcript.json`, in the shape of API-74."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    job_id: str
    status: str = "completed"
    provider: str
    model: str
    language: str
    text: str
    segments: tuple[Segment, ...]


def transcribe(
    job_id: str, tracks: Iterable[SpeakerTrack], engine: Engine, language: str | None = None
) -> Transcript:
    """Every speaker's words in the order they were begun; blocks while it computes.

    Raises:
        TranscriptionError: the engine or the decoding of a track failed.
    """
    segments: list[Segment] = []
    languages: list[str] = []
    for track in tracks:
        packed = pack(track.path, track.speech, track.duration_ms)
        if not len(packed.samples):
            continue
        heard = engine.words(packed.samples, language)
        languages.append(heard.language)
        segments += [_segment(track, packed, group) for group in grouped(packed, heard.words)]
    segments.sort(key=lambda segment: (segment.start, segment.end))
    return Transcript(
        job_id=job_id,
        provider=engine.provider,
        model=engine.model,
        language=max(languages, key=languages.count) if languages else language or "und",
        text="\n".join(f"{s.display_name}: {s.text}" for s in segments),
        segments=tuple(segments),
    )


def grouped(packed: Packed, words: Iterable[Word]) -> list[list[Word]]:
    """Words cut into segments: at the end of an utterance, at a pause, and when too long."""
    groups: list[list[Word]] = []
    for word in words:
        last = groups[-1] if groups else None
        if (
            last is None
            or packed.piece_at(word.start) != packed.piece_at(last[-1].start)
            or word.start - last[-1].end >= SEGMENT_GAP_SECONDS
            or word.end - last[0].start > SEGMENT_SECONDS
        ):
            groups.append([word])
        else:
            last.append(word)
    return groups


def _segment(track: SpeakerTrack, packed: Packed, words: Sequence[Word]) -> Segment:
    start = packed.meeting_time(words[0].start)
    return Segment(
        participant_id=track.participant_id,
        speaker_label=track.speaker_label,
        display_name=track.display_name,
        start=round(start, 3),
        end=round(max(packed.meeting_time(words[-1].end), start), 3),
        text="".join(word.text for word in words).strip(),
    )
