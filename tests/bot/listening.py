"""Listening to recordings: decoded samples, loudness, and where one sound lies in another."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000
Samples = NDArray[np.float32]


def decode(path: Path, rate: int = RATE) -> Samples:
    """All sound of a file, mono, -1 to 1."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(str(path)) as container:
        parts = [
            out.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for out in resampler.resample(frame)
        ]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def decibels(samples: Samples) -> float:
    """Root mean square, in dB below full scale."""
    return float(20 * np.log10(max(1e-9, np.sqrt(np.mean(np.square(samples))))))


def part(samples: Samples, start_ms: float, end_ms: float, rate: int = RATE) -> Samples:
    return samples[round(start_ms * rate / 1000) : round(end_ms * rate / 1000)]


def strength(samples: Samples, frequency: float, rate: int = RATE) -> float:
    """How much of the sound is a tone of that frequency, in dB below full scale."""
    time = np.arange(len(samples)) / rate
    turned = np.mean(samples * np.exp(-2j * np.pi * frequency * time))
    return float(20 * np.log10(max(1e-9, abs(turned) * np.sqrt(2))))


def tone_share(samples: Samples, frequency: float, rate: int = RATE) -> float:
    """In how much of the sound (0-1) the tone is heard at all, above -30 dB.

    For sound that a browser has played: its jitter buffer stretches and
    shortens time, which turns the tone's phase, so that `strength` of seconds
    cancels out. Every tenth of a second is listened to on its own.
    """
    size = rate // 10
    pieces = [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]
    return sum(strength(piece, frequency, rate) > -30 for piece in pieces) / max(1, len(pieces))


def find(sound: Samples, within: Samples, rate: int) -> tuple[float, float]:
    """Where `sound` lies in `within`, ms, and how alike they are there (0-1)."""
    size = 1 << (len(sound) + len(within)).bit_length()
    product = np.fft.irfft(np.fft.rfft(within, size) * np.conj(np.fft.rfft(sound, size)), size)
    best = int(np.argmax(product[: max(1, len(within) - len(sound) + 1)]))
    there = within[best : best + len(sound)]
    scale = float(np.linalg.norm(there) * np.linalg.norm(sound)) or 1.0
    return best * 1000 / rate, float(product[best]) / scale
