"""All voices in one track, as a server mixes them: decoded, added up and encoded again, with the
sources of each packet in its header.

A source stays in the headers for a moment after it has fallen silent, and for seconds in what the
browser says of it; levels are not steady; what the page shows of who speaks comes late and
flickers. Everything is drawn from a seed.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from aiortc import RTCRtpSender
from aiortc.rtp import is_rtcp
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from sandbox.script import QUIET_DBOV, Script, ScriptLine, Speech
from sandbox.tracks import OPUS_SAMPLES

SEED = 20_261_125
RATE = 48_000
LINGER_FRAMES = (5, 12)
LEVEL_JITTER_DB = 6
VOICE_DBOV = -45
# After the voice, in frames: an outline comes, and goes.
SHOWN_AFTER = (7, 15)
HIDDEN_AFTER = (9, 18)
FLICKER_FRAMES = (3, 5)


@dataclass(frozen=True)
class MixedFrame:
    """20 ms of the mix, the people who are heard in it, and those named in its header."""

    payload: bytes
    level: int
    voices: tuple[str, ...]
    named: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """At this frame the page begins or ceases to show that somebody speaks."""

    frame: int
    who: str
    on: bool


def mixed(script: Script, seed: int = SEED) -> tuple[MixedFrame, ...]:
    """The whole script."""
    draw = random.Random(seed)  # noqa: S311 - a script
    sound = np.zeros(script.frames * OPUS_SAMPLES)
    until: dict[int, int] = {}
    for line in script.lines:
        voice = _decoded(line.speech)
        start = line.start * OPUS_SAMPLES
        sound[start : start + len(voice)] += voice[: len(sound) - start]
        until[line.index] = line.end + draw.randint(*LINGER_FRAMES)
    frames: list[MixedFrame] = []
    for number, payload in enumerate(_encoded(sound)):
        here = sound[number * OPUS_SAMPLES : (number + 1) * OPUS_SAMPLES]
        power = float(np.mean(np.square(here))) if len(here) else 0.0
        level = QUIET_DBOV if power < 1e-12 else round(10 * np.log10(power))
        level += draw.randint(-LEVEL_JITTER_DB, LEVEL_JITTER_DB)
        lines = [one for one in script.lines if one.start <= number < until[one.index]]
        named = tuple(dict.fromkeys(one.speaker for one in lines))
        voices = tuple(one.speaker for one in lines if _is_voiced(one, number))
        frames.append(MixedFrame(payload, max(QUIET_DBOV, min(0, level)), voices, named))
    return tuple(frames)


def shown(script: Script, seed: int = SEED) -> tuple[Shown, ...]:
    """When the page shows who speaks: late, and once in a sentence not for a moment."""
    draw = random.Random(seed)  # noqa: S311 - a script
    cues: list[Shown] = []
    for line in script.lines:
        blink = draw.randint(line.start + 40, max(line.start + 41, line.end - 20))
        cues += [
            Shown(line.start + draw.randint(*SHOWN_AFTER), line.speaker, True),
            Shown(blink, line.speaker, False),
            Shown(blink + draw.randint(*FLICKER_FRAMES), line.speaker, True),
            Shown(line.end + draw.randint(*HIDDEN_AFTER), line.speaker, False),
        ]
    return tuple(sorted(cues, key=lambda cue: cue.frame))


def overlap(script: Script) -> float:
    """The share of the time with speech in which more than one person speaks."""
    talking = np.zeros(script.frames, int)
    for line in script.lines:
        talking[line.start : line.end] += 1
    return float(np.sum(talking > 1) / np.sum(talking > 0))


def voice_frames(script: Script, key: str) -> int:
    """How many frames hold that person's voice."""
    return sum(level > VOICE_DBOV for line in script.lines_of(key) for level in line.speech.levels)


def name_sources(sender: RTCRtpSender, sources: Callable[[], tuple[int, ...]]) -> None:
    """Write contributing sources (RFC 3550) into the header of each packet that is sent.

    aiortc cannot: its packets get them on their way into the transport.
    """
    transport = sender.transport
    send = transport._send_rtp

    async def with_sources(data: bytes) -> None:
        if not is_rtcp(data) and struct.unpack_from("!L", data, 8)[0] == sender._ssrc:
            named = sources()[:15]
            head = bytes([data[0] & 0xF0 | len(named)]) + data[1:12]
            data = head + struct.pack(f"!{len(named)}L", *named) + data[12:]
        await send(data)

    transport._send_rtp = with_sources  # type: ignore[method-assign]


def _is_voiced(line: ScriptLine, frame: int) -> bool:
    return frame < line.end and line.speech.levels[frame - line.start] > VOICE_DBOV


def _decoded(speech: Speech) -> NDArray[np.float64]:
    context = av.CodecContext.create("libopus", "r")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout = RATE, "mono"
    parts = [
        frame.to_ndarray().ravel().astype(np.float64) / 32768
        for packet in speech.packets
        for frame in context.decode(av.Packet(packet))
    ]
    return np.concatenate(parts)


def _encoded(sound: NDArray[np.float64]) -> Iterator[bytes]:
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = RATE, "mono", "s16"
    context.bit_rate, context.time_base = 32_000, Fraction(1, RATE)
    whole = (np.clip(sound, -1, 1) * 32767).astype(np.int16)
    for start in range(0, len(whole), OPUS_SAMPLES):
        frame = av.AudioFrame.from_ndarray(
            whole[None, start : start + OPUS_SAMPLES], format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = RATE, start
        for packet in context.encode(frame):
            yield bytes(packet)
    for packet in context.encode(None):
        yield bytes(packet)
