"""Talk time as a file that every provider takes: Ogg Opus, mono, three kilobytes a second."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np

from core.errors import TranscriptionError
from core.recordings.recording import Span
from transcription.engine import SAMPLE_RATE, Samples

MIME_TYPE: Final = "audio/ogg"
FILE_NAME: Final = "speech.ogg"
BITS_PER_SECOND: Final = 24_000
FRAME: Final = SAMPLE_RATE // 50
# A cut is made at the quietest tenth of a second of so many seconds before the limit.
CUT_WITHIN_SECONDS: Final = 30
WINDOW: Final = SAMPLE_RATE // 10
# Above this (of full scale, root mean square of a window) somebody may be speaking.
AUDIBLE: Final = 10 ** (-50 / 20)


def encoded(samples: Samples) -> bytes:
    """Mono samples at 16 kHz as an Ogg Opus file; blocks while it computes.

    Raises:
        TranscriptionError: the encoder failed.
    """
    target = io.BytesIO()
    try:
        with av.open(target, "w", format="ogg") as container:
            stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
            stream.bit_rate = BITS_PER_SECOND
            for start in range(0, len(samples), FRAME):
                part = samples[start : start + FRAME]
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(part[np.newaxis, :]), format="flt", layout="mono"
                )
                frame.sample_rate, frame.pts = SAMPLE_RATE, start
                frame.time_base = Fraction(1, SAMPLE_RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except av.FFmpegError as exc:
        raise TranscriptionError(f"The speech could not be encoded: {exc}") from exc
    return target.getvalue()


def parts_of(samples: Samples, longest_seconds: float) -> Iterator[tuple[float, Samples]]:
    """`samples` in pieces of at most so long, with where each begins in seconds.

    Cuts are made where it is quiet, not to break a word.
    """
    longest = int(longest_seconds * SAMPLE_RATE)
    start = 0
    while len(samples) - start > longest:
        end = start + longest
        begin = max(start + longest // 2, end - CUT_WITHIN_SECONDS * SAMPLE_RATE)
        cut = begin + _quietest(samples[begin:end])
        yield start / SAMPLE_RATE, samples[start:cut]
        start = cut
    if len(samples) > start:
        yield start / SAMPLE_RATE, samples[start:]


def audible_spans(path: Path) -> tuple[Span, ...]:
    """Where in a speaker's file there is sound at all; reads it once and keeps none of it.

    For recordings whose journal, which knows where speech is, is long gone.

    Raises:
        TranscriptionError: the file cannot be decoded.
    """
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    spans: list[Span] = []
    rest = np.zeros(0, np.float32)
    at = 0
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                blocks = [part.to_ndarray()[0] for part in resampler.resample(frame)]
                rest = np.concatenate([rest, *blocks])
                whole = len(rest) // WINDOW * WINDOW
                for level in _levels(rest[:whole]):
                    _note(spans, at, loud=bool(level > AUDIBLE))
                    at += 1
                rest = rest[whole:]
    except (av.FFmpegError, OSError) as exc:
        raise TranscriptionError(f"{path.name} cannot be decoded: {exc}") from exc
    return tuple(spans)


def _note(spans: list[Span], window: int, *, loud: bool) -> None:
    start_ms, end_ms = window * 100, (window + 1) * 100
    if not loud:
        return
    if spans and spans[-1].end_ms == start_ms:
        spans[-1] = Span(spans[-1].start_ms, end_ms, "speech")
    else:
        spans.append(Span(start_ms, end_ms, "speech"))


def _levels(samples: Samples) -> Samples:
    windows = samples.reshape(-1, WINDOW)
    levels: Samples = np.sqrt(np.mean(np.square(windows), axis=1))
    return levels


def _quietest(samples: Samples) -> int:
    """The middle of the quietest window."""
    whole = len(samples) // WINDOW * WINDOW
    if not whole:
        return len(samples)
    return int(np.argmin(_levels(samples[:whole]))) * WINDOW + WINDOW // 2
