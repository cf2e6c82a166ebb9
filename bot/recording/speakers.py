"""Final audio: one Ogg Opus per participant, from the start of the recording to its end.

A participant of whom no sound was ever received has no file; everybody else has exactly one
(MF-12). A file that one attempt wrote whole is copied as it is and only padded at its end.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bot.recording.ogg import SAMPLES_PER_MS, OggOpusMuxer, Page, scan_pages
from bot.recording.people import People
from bot.recording.timeline import Attempt, Timeline, merge
from core.recordings.journal import Stream
from core.recordings.recording import MediaFile, Span

# Speech is widened by this, so that the beginnings and ends of words are inside.
_SPEECH_PAD_MS = 200
_SPEECH_JOIN_MS = 600

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """One attempt's file of one participant."""

    attempt: Attempt
    stream: Stream

    @property
    def path(self) -> Path:
        return self.attempt.journal.folder / self.stream.opened.stream

    def spans(self) -> Iterator[Span]:
        shift = self.attempt.shift_ms
        for segment in self.stream.segments:
            for start, end in segment.speech:
                yield Span(shift + start, shift + end, "speech")

    def gaps(self) -> Iterator[Span]:
        shift = self.attempt.shift_ms
        for gap in self.stream.gaps:
            yield Span(shift + gap.start_ms, shift + gap.end_ms, gap.reason)


@dataclass(frozen=True)
class Sound:
    """The good pages of a part, and what lies between them."""

    part: Part
    data: bytes
    pages: tuple[Page, ...]
    damaged: tuple[Span, ...]

    @property
    def end_ms(self) -> int:
        """Where the sound ends, in ms of the recording; a killed process described less."""
        return self.part.attempt.shift_ms + -(-self.pages[-1].granule // SAMPLES_PER_MS)


def load_sounds(timeline: Timeline, people: People) -> dict[str, list[Sound]]:
    """Every participant's parts, oldest first, checked page by page."""
    sounds: dict[str, list[Sound]] = {}
    for attempt in timeline.attempts:
        for stream in attempt.journal.streams.values():
            owner = people.canonical.get(stream.opened.participant_id or "")
            if stream.opened.kind == "per-speaker" and owner:
                sound = _load(Part(attempt, stream))
                if sound is not None:
                    sounds.setdefault(owner, []).append(sound)
    return sounds


def finish_speaker(
    participant_id: str, sounds: Sequence[Sound], length_ms: int, people: People, folder: Path
) -> MediaFile:
    """Write `audio.<participantId>.ogg`, `length_ms` long."""
    length = length_ms * SAMPLES_PER_MS
    data = _assemble(sounds, length)
    name = f"audio.{participant_id}.ogg"
    path = folder / name
    path.write_bytes(data)
    claim = people.attribution(participant_id)
    speech = [span for sound in sounds for span in sound.part.spans()]
    gaps = [span for sound in sounds for span in (*sound.part.gaps(), *sound.damaged)]
    return MediaFile(
        track_id=participant_id,
        kind="per-speaker",
        name=name,
        path=path,
        mime_type="audio/ogg",
        encoding="audio/ogg; codecs=opus",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        participant_id=participant_id,
        start_offset_ms=0,
        end_offset_ms=length_ms,
        attribution=claim.attribution if claim else None,
        isolation=claim.isolation if claim else None,
        confidence=claim.confidence if claim else None,
        gaps=merge(gaps),
        speech=_widened(speech, length_ms),
    )


def _widened(spans: Sequence[Span], length_ms: int) -> tuple[Span, ...]:
    wide = [
        Span(max(0, s.start_ms - _SPEECH_PAD_MS), min(length_ms, s.end_ms + _SPEECH_PAD_MS), "")
        for s in spans
    ]
    joined = merge(wide, _SPEECH_JOIN_MS - 2 * _SPEECH_PAD_MS)
    return tuple(Span(span.start_ms, span.end_ms, "speech") for span in joined)


def _load(part: Part) -> Sound | None:
    """Read a part and check it: pages after a damaged stretch are found again by their mark."""
    try:
        data = part.path.read_bytes()
    except FileNotFoundError:
        return None
    pages: list[Page] = []
    damaged: list[Span] = []
    at = 0
    while at < len(data):
        good = [_moved(page, at) for page in scan_pages(memoryview(data)[at:])]
        pages += good
        end = good[-1].offset + good[-1].size if good else at
        again = data.find(b"OggS", end + 1)
        if again < 0:
            break
        at = again
    if len(pages) < 3:
        return None
    for before, after in pairwise(pages):
        if after.offset != before.offset + before.size:
            shift = part.attempt.shift_ms
            start = shift + before.granule // SAMPLES_PER_MS
            end_ms = shift + after.granule // SAMPLES_PER_MS
            damaged.append(Span(start, end_ms, "damaged on disk"))
    if damaged:
        _log.warning("%s is damaged in %d places", part.path, len(damaged))
    return Sound(part, data, tuple(pages), tuple(damaged))


def _moved(page: Page, by: int) -> Page:
    return Page(page.offset + by, page.size, page.flags, page.granule, page.serial, page.sequence)


def _assemble(sounds: Sequence[Sound], length: int) -> bytes:
    first = sounds[0]
    if first.part.attempt.shift_ms == 0 and not first.damaged:
        end = first.pages[-1].offset + first.pages[-1].size
        out = [first.data[:end]]
        last = first.pages[-1]
        muxer = OggOpusMuxer.resume(last.serial, last.sequence + 1, last.granule)
        rest = sounds[1:]
    else:
        # The two header pages, then everything placed anew.
        head = first.pages[1].offset + first.pages[1].size
        out = [first.data[:head]]
        muxer = OggOpusMuxer.resume(first.pages[0].serial, 2, 0)
        rest = sounds
    for sound in rest:
        _append(muxer, sound)
    muxer.finish(length)
    out.append(muxer.take())
    return b"".join(out)


def _append(muxer: OggOpusMuxer, sound: Sound) -> None:
    """Add the pages of a part at their place; what overlaps earlier sound is left out."""
    shift = sound.part.attempt.shift_ms * SAMPLES_PER_MS
    for before, page in zip(sound.pages[1:], sound.pages[2:], strict=False):
        if page.offset != before.offset + before.size:
            # What preceded this page is lost, so its length is not known from positions.
            continue
        start = shift + before.granule
        if start < muxer.position:
            continue
        muxer.add_silence(start - muxer.position)
        muxer.put_page(sound.data[page.offset : page.offset + page.size], shift + page.granule)
