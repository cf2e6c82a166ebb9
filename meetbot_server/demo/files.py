"""Looks at recorded files without trusting what was said about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np


@dataclass(frozen=True)
class Probe:
    """What decoding a media file showed. `loudness_db` is the RMS of its sound, None if silent."""

    seconds: float
    streams: tuple[str, ...]
    loudness_db: float | None


def probe(path: Path) -> Probe:
    """Decode all sound of a file and measure it."""
    with av.open(str(path)) as container:
        streams = tuple(f"{s.type}/{s.codec_context.name}" for s in container.streams)
        seconds = float(container.duration or 0) / av.time_base
        if not container.streams.audio:
            return Probe(seconds, streams, None)
        energy, count = 0.0, 0
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        for frame in container.decode(audio=0):
            for part in resampler.resample(frame):
                samples = part.to_ndarray()[0].astype(np.float64)
                energy += float(samples @ samples)
                count += samples.size
        mean = energy / count if count else 0.0
    return Probe(seconds, streams, 10 * float(np.log10(mean)) if mean > 0 else None)
