"""Synthetic senders: real Opus packets on clocks, networks and silences of our choosing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from bot.capture.frames import Frame
from bot.recording.ogg import SAMPLES_PER_MS

FRAME_MS = 20
FRAME = FRAME_MS * SAMPLES_PER_MS


@lru_cache(maxsize=16)
def opus(frequency: float, seconds: float, on_ms: int = 0, off_ms: int = 0) -> tuple[bytes, ...]:
    """A tone in 20 ms packets; with `on_ms` and `off_ms` it beeps. VBR, mono, 32 kbit/s."""
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = 48_000, "mono", "s16"
    context.bit_rate, context.time_base = 32_000, Fraction(1, 48_000)
    packets: list[bytes] = []
    for number in range(round(seconds * 1000 / FRAME_MS)):
        time = (np.arange(FRAME) + number * FRAME) / 48_000
        wave = 9000 * np.sin(2 * np.pi * frequency * time)
        if on_ms:
            wave[(time * 1000) % (on_ms + off_ms) >= on_ms] = 0
        frame = av.AudioFrame.from_ndarray(
            wave.astype(np.int16)[None, :], format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = 48_000, number * FRAME
        packets += [bytes(packet) for packet in context.encode(frame)]
    return tuple(packets)


@dataclass(frozen=True)
class Network:
    """What happens between a sender and us. `jitter_ms` is uniform; `ppm` is the clock's error."""

    jitter_ms: float = 0.0
    loss: float = 0.0
    ppm: float = 0.0
    delay_ms: float = 5.0
    swaps: float = 0.0
    seed: int = 1


def send(
    packets: Sequence[bytes | None],
    start_ms: float,
    network: Network | None = None,
    *,
    rtp: int = 0,
    sequence: int = 0,
    ssrc: int = 7,
    index: int = 0,
) -> Iterator[Frame]:
    """Frames in order of arrival. None in `packets` is a frame that was not sent (DTX)."""
    network = network or Network()
    random = np.random.default_rng(network.seed)
    frames: list[Frame] = []
    number = sequence
    for place, payload in enumerate(packets):
        if payload is None:
            continue
        sent = start_ms + place * FRAME_MS / (1 + network.ppm / 1e6)
        arrival = sent + network.delay_ms + random.uniform(0, network.jitter_ms)
        if network.swaps and random.random() < network.swaps:
            arrival += 3 * FRAME_MS
        number += 1
        if random.random() < network.loss:
            continue
        frames.append(
            Frame(
                index=index,
                codec="opus",
                key=False,
                delayed=False,
                ssrc=ssrc,
                rtp=(rtp + place * FRAME) % 2**32,
                sequence=(number - 1) % 2**16,
                csrcs=(),
                arrival_ms=arrival,
                level=None,
                width=0,
                height=0,
                payload=payload,
            )
        )
    yield from sorted(frames, key=lambda frame: frame.arrival_ms)


def later(frame: Frame, by_ms: float) -> Frame:
    return replace(frame, arrival_ms=frame.arrival_ms + by_ms)
