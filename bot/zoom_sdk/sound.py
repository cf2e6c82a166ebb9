"""From the SDK's samples to the frames that a page would send: a track of its own for everybody.

The SDK calls with some milliseconds of one person's samples at a time, and not at all while that
person is quiet. The Opus that comes of them goes the way of all frames, so that holds, gaps, pauses
and files are the recorder's.
"""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from bot.browser.bridge import Bridge
from bot.capture.frames import Frame, FrameChunk, TrackGone, TrackSeen, pack_record

log = logging.getLogger(__name__)

RATE: Final = 48_000
SAMPLES: Final = 960
FULL_SCALE: Final = 32_768.0
BIT_RATE: Final = 32_000
RATES: Final = (16_000, 32_000, 48_000)
MOST_VOICES: Final = 500
# So much later than the samples before it had said: there was a silence.
SILENCE_MS: Final = 100.0


@dataclass(frozen=True)
class Pcm:
    """Samples of one person, 16 bits, mono, little-endian; `at_ms` since 1970 is their arrival."""

    data: bytes
    rate: int
    at_ms: float


class _Voice:
    """One person's encoder. Its RTP clock runs with the samples, and jumps over silences."""

    def __init__(self, number: int, rate: int) -> None:
        self.number = number
        self.rate = rate
        self._codec = _encoder()
        self._resampler = AudioResampler(format="s16", layout="mono", rate=RATE)
        self._rest = np.zeros(0, np.int16)
        self._rtp = 0
        self._sequence = 0
        self._due_ms: float | None = None

    def frames(self, pcm: Pcm) -> list[Frame]:
        """The packets of 20 ms that these samples complete."""
        self._jump(pcm)
        fresh = AudioFrame.from_ndarray(
            np.frombuffer(pcm.data, np.int16)[np.newaxis, :], format="s16", layout="mono"
        )
        fresh.sample_rate = pcm.rate
        parts = [part.to_ndarray()[0] for part in self._resampler.resample(fresh)]
        samples = np.concatenate([self._rest, *parts])
        whole = len(samples) // SAMPLES * SAMPLES
        self._rest = samples[whole:]
        return [
            self._frame(samples[at : at + SAMPLES], pcm.at_ms) for at in range(0, whole, SAMPLES)
        ]

    def _jump(self, pcm: Pcm) -> None:
        lasts_ms = len(pcm.data) / 2 * 1000 / pcm.rate
        began_ms = pcm.at_ms - lasts_ms
        if self._due_ms is not None and began_ms - self._due_ms > SILENCE_MS:
            missed = round((began_ms - self._due_ms) * RATE / 1000 / SAMPLES)
            self._rtp += missed * SAMPLES
            self._due_ms = None
        self._due_ms = (self._due_ms if self._due_ms is not None else began_ms) + lasts_ms

    def _frame(self, samples: np.ndarray[tuple[int], np.dtype[np.int16]], at_ms: float) -> Frame:
        block = AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
        block.sample_rate = RATE
        block.pts = self._sequence * SAMPLES
        payload = b"".join(bytes(packet) for packet in self._codec.encode(block))
        made = Frame(
            index=self.number,
            codec="opus",
            key=True,
            delayed=False,
            ssrc=self.number + 1,
            rtp=self._rtp % 2**32,
            sequence=self._sequence % 2**16,
            csrcs=(),
            arrival_ms=at_ms,
            level=min(1.0, math.sqrt(float(np.mean(samples.astype(np.float64) ** 2))) / FULL_SCALE),
            width=0,
            height=0,
            payload=payload,
        )
        self._rtp += SAMPLES
        self._sequence += 1
        return made


class Sound:
    """What everybody says, told to `bridge` as frames of a document of its own.

    `own` is called with the track of somebody who is heard for the first time.
    """

    def __init__(self, bridge: Bridge, doc: str, own: Callable[[int, str], None]) -> None:
        self._bridge = bridge
        self._doc = doc
        self._own = own
        self._voices: dict[int, _Voice] = {}
        self._chunks = 0
        self._tracks = 0

    def hear(self, person: int, pcm: Pcm) -> None:
        """Samples of a person, by the SDK's number of them."""
        if pcm.rate not in RATES or len(pcm.data) % 2 or not pcm.data:
            log.warning("Zoom's SDK gave %d bytes of %d Hz.", len(pcm.data), pcm.rate)
            return
        voice = self._voices.get(person)
        if voice is None or voice.rate != pcm.rate:
            voice = self._begin(person, pcm.rate)
        if voice is None:
            return
        records = b"".join(pack_record(frame) for frame in voice.frames(pcm) if frame.payload)
        if records:
            self._bridge.emit(
                "frames",
                FrameChunk.model_validate(
                    {
                        "doc": self._doc,
                        "n": self._chunks,
                        "first": True,
                        "at": pcm.at_ms,
                        "data": base64.b64encode(records).decode(),
                    }
                ),
            )
            self._chunks += 1

    def gone(self, person: int) -> None:
        """The person has left: their track ends."""
        voice = self._voices.pop(person, None)
        if voice is not None:
            gone = TrackGone.model_validate({"doc": self._doc, "index": voice.number})
            self._bridge.emit("track-ended", gone)

    def _begin(self, person: int, rate: int) -> _Voice | None:
        self.gone(person)
        if len(self._voices) >= MOST_VOICES:
            return None
        voice = self._voices[person] = _Voice(self._tracks, rate)
        self._tracks += 1
        track_id = f"{self._doc}-{person}-{voice.number}"
        seen = {"doc": self._doc, "index": voice.number, "trackId": track_id, "kind": "audio"}
        self._bridge.emit("track", TrackSeen.model_validate(seen))
        self._own(person, track_id)
        return voice


def _encoder() -> AudioCodecContext:
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, AudioCodecContext)  # noqa: S101 - for the type checker
    codec.sample_rate = RATE
    codec.layout = "mono"
    codec.format = "s16"
    codec.bit_rate = BIT_RATE
    codec.time_base = Fraction(1, RATE)
    codec.options = {"application": "voip", "frame_duration": "20"}
    return codec
