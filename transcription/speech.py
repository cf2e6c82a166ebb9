"""Only the talk time of a track, as one run of samples, and the way back to meeting time.

A speaker's file lasts as long as the meeting but holds speech for a fraction of it. Decoding
and understanding only that fraction makes the cost grow with talk time, and packing short
utterances together lets Whisper fill its 30-second windows.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np

from core.errors import TranscriptionError
from core.recordings.recording import Span
from transcription.engine import SAMPLE_RATE, Samples

# Speech spans come from packet sizes, which miss soft beginnings and endings of words.
PADDING_MS: Final = 300
# Silence between packed utterances: long enough for the voice-activity detector to see an end.
JOINT_MS: Final = 800


@dataclass(frozen=True)
class Piece:
    """A stretch of the packed samples: where it lies there, and where it was in the meeting."""

    packed_start: float
    meeting_start: float
    seconds: float


@dataclass(frozen=True)
class Packed:
    """A speaker's talk time, packed. `meeting_time` maps back."""

    samples: Samples
    pieces: tuple[Piece, ...]

    def piece_at(self, packed: float) -> int:
        """Index of the piece that `packed` seconds falls into (joints belong to the left)."""
        starts = [piece.packed_start for piece in self.pieces]
        return max(bisect.bisect_right(starts, packed) - 1, 0)

    def meeting_time(self, packed: float) -> float:
        """Seconds since the recording began for a time in the packed samples."""
        piece = self.pieces[self.piece_at(packed)]
        return piece.meeting_start + min(max(packed - piece.packed_start, 0.0), piece.seconds)


def widen(spans: Iterable[Span], limit_ms: int) -> list[tuple[int, int]]:
    """`spans` with padding on both sides, merged where they then touch, within the file."""
    merged: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda span: span.start_ms):
        start = max(span.start_ms - PADDING_MS, 0)
        end = min(span.end_ms + PADDING_MS, limit_ms)
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def pack(path: Path, spans: Sequence[Span], duration_ms: int) -> Packed:
    """Decode only `spans` of an audio file.

    Raises:
        TranscriptionError: the file cannot be decoded.
    """
    joint = np.zeros(JOINT_MS * SAMPLE_RATE // 1000, np.float32)
    parts: list[Samples] = []
    pieces: list[Piece] = []
    packed = 0
    try:
        with av.open(str(path)) as container:
            for start_ms, end_ms in widen(spans, duration_ms):
                samples = _decode(container, start_ms, end_ms)
                pieces.append(
                    Piece(packed / SAMPLE_RATE, start_ms / 1000, len(samples) / SAMPLE_RATE)
                )
                parts += [samples, joint]
                packed += len(samples) + len(joint)
    except (av.FFmpegError, OSError) as exc:
        raise TranscriptionError(f"{path.name} cannot be decoded: {exc}") from exc
    return Packed(np.concatenate(parts) if parts else joint[:0], tuple(pieces))


def _decode(container: av.container.InputContainer, start_ms: int, end_ms: int) -> Samples:
    """Exactly `end_ms - start_ms` of mono samples beginning at `start_ms` of the file."""
    wanted = (end_ms - start_ms) * SAMPLE_RATE // 1000
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    blocks: list[Samples] = []
    begun: float | None = None
    # Opus needs 80 ms of pre-roll to converge after a seek.
    container.seek(max(start_ms - 80, 0) * 1000)
    for frame in container.decode(audio=0):
        if frame.time is None:
            continue
        if frame.time * 1000 >= end_ms:
            break
        begun = frame.time if begun is None else begun
        # The resampler holds samples back, so only the sum of its blocks has a known place.
        blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    if begun is None:
        return np.zeros(wanted, np.float32)
    blocks += [part.to_ndarray()[0] for part in resampler.resample(None)]
    # Time stamps count the encoder's pre-skip, which is not played.
    first = (container.start_time or 0) / av.time_base
    offset = round((start_ms / 1000 + first - begun) * SAMPLE_RATE)
    return _cut(np.concatenate(blocks), offset, wanted)


def _cut(samples: Samples, start: int, length: int) -> Samples:
    """`length` samples from `start` (which may lie before the first), silence where none are."""
    out = np.zeros(length, np.float32)
    left, right = max(start, 0), min(start + length, len(samples))
    if right > left:
        out[left - start : right - start] = samples[left:right]
    return out
