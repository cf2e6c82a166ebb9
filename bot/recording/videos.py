"""Final video: the files of all attempts, rewritten with duration and cues, not encoded."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import ffmpeg

from bot.recording.people import People
from bot.recording.timeline import Attempt, Timeline, merge
from core.media import CONTAINERS, Container, FfmpegFailed, remux, run_ffmpeg
from core.recordings.journal import Stream
from core.recordings.recording import MediaFile, Span, TrackKind

_MEDIA_TYPES: Final[Mapping[Container, str]] = {
    "webm": "video/webm",
    "matroska": "video/x-matroska",
}
_CONCAT_TIMEOUT_S = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """One attempt's file of one video stream."""

    attempt: Attempt
    stream: Stream

    @property
    def path(self) -> Path:
        return self.attempt.journal.folder / self.stream.opened.stream

    @property
    def start_ms(self) -> int:
        return self.attempt.shift_ms + self.stream.opened.start_ms

    @property
    def end_ms(self) -> int:
        return self.attempt.shift_ms + self.stream.end_ms

    def gaps(self) -> tuple[Span, ...]:
        shift = self.attempt.shift_ms
        return tuple(
            Span(shift + gap.start_ms, shift + gap.end_ms, gap.reason) for gap in self.stream.gaps
        )


def finish_videos(timeline: Timeline, people: People, folder: Path) -> list[MediaFile]:
    """Write `tab.webm`, `screenshare[-n].webm` and `video.<participantId>[-n].webm`; `.mkv` where
    the sender's frames were H264, which WebM may not hold."""
    files: list[MediaFile] = []
    names: Counter[str] = Counter()
    tab: list[Clip] = []
    for attempt in timeline.attempts:
        for stream in attempt.journal.streams.values():
            clip = Clip(attempt, stream)
            if stream.opened.kind == "per-speaker" or not _has_bytes(clip.path):
                continue
            if stream.opened.kind == "tab-video":
                tab.append(clip)
                continue
            owner = people.canonical.get(stream.opened.participant_id or "")
            base = "screenshare" if stream.opened.kind == "screenshare" else f"video.{owner}"
            names[base] += 1
            number = "" if names[base] == 1 else f"-{names[base]}"
            file = _finish([clip], stream.opened.kind, f"{base}{number}", owner, folder)
            files += [file] if file else []
    joined = _finish(tab, "tab-video", "tab", None, folder) if tab else None
    return ([joined] if joined else []) + files


def _has_bytes(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _finish(
    clips: Sequence[Clip], kind: TrackKind, track_id: str, owner: str | None, folder: Path
) -> MediaFile | None:
    """One final file; None when ffmpeg finds nothing that plays in what a killed bot left."""
    suffix = clips[0].path.suffix
    container = CONTAINERS[suffix]
    mime_type = _MEDIA_TYPES[container]
    target = folder / f"{track_id}{suffix}"
    part = folder / f".{track_id}.part"
    try:
        if len(clips) == 1:
            remux(clips[0].path, part, container)
        else:
            _join(clips, part)
    except FfmpegFailed as error:
        part.unlink(missing_ok=True)
        _log.error("%s cannot be finished: %s", track_id, error.message)
        return None
    part.replace(target)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    breaks = [
        Span(before.end_ms, after.start_ms, "the bot was away between two attempts")
        for before, after in pairwise(clips)
        # Between two clips of one attempt the recording was paused.
        if after.attempt != before.attempt and after.start_ms > before.end_ms
    ]
    return MediaFile(
        track_id=track_id,
        kind=kind,
        name=target.name,
        path=target,
        mime_type=mime_type,
        encoding=mime_type,
        bytes=target.stat().st_size,
        sha256=digest,
        participant_id=owner,
        start_offset_ms=clips[0].start_ms,
        end_offset_ms=clips[-1].end_ms,
        gaps=merge([*breaks, *(gap for clip in clips for gap in clip.gaps())]),
    )


def _join(clips: Sequence[Clip], target: Path) -> None:
    """Clips one after another, each at its own time; the picture stands still in between."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        lines = ["ffconcat version 1.0"]
        for place, clip in enumerate(clips):
            tidy = Path(scratch) / f"{place}.webm"
            remux(clip.path, tidy)
            lines.append(f"file '{tidy.name}'")
            if place + 1 < len(clips):
                seconds = (clips[place + 1].start_ms - clip.start_ms) / 1000
                lines.append(f"duration {seconds:.3f}")
        listing = Path(scratch) / "list.ffconcat"
        listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
        stream = ffmpeg.input(os.fspath(listing), f="concat", safe=0).output(
            os.fspath(target), c="copy", format="webm", cues_to_front=1
        )
        run_ffmpeg(stream, _CONCAT_TIMEOUT_S)
