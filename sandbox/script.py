"""Scripts: who says what when, and the Opus packets of every sentence, ready to send."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from core.errors import BadInput

SPEECH: Final = Path(__file__).parent / "speech"
FRAME_SECONDS: Final = 0.02
FRAMES_PER_SECOND: Final = 50
QUIET_DBOV: Final = -127
# 20 ms of digital silence, mono.
SILENCE: Final = b"\xf8\xff\xfe"


class Speaker(BaseModel):
    """A scripted person. `dtx`: sends next to nothing while silent, as some clients do."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)

    display_name: str
    voice: str
    color: str
    host: bool
    dtx: bool


class Sentence(BaseModel):
    speaker: str
    text: str


class Line(BaseModel):
    """`pause`: seconds since the end of the line before; negative talks over its end."""

    sentence: str
    pause: float


class ScriptedChat(BaseModel):
    """Posted when line number `line` (from 0) begins."""

    speaker: str
    line: int
    text: str


class ScriptSource(BaseModel):
    """`tail`: seconds of silence after the last line."""

    lines: tuple[Line, ...]
    chat: tuple[ScriptedChat, ...]
    tail: float


class Library(BaseModel):
    """The contents of `speech/library.json`."""

    speakers: dict[str, Speaker]
    sentences: dict[str, Sentence]
    scripts: dict[str, ScriptSource]


@dataclass(frozen=True)
class Speech:
    """One sentence as sent: 20 ms Opus packets and the level of each (dBov, -127 to 0)."""

    packets: tuple[bytes, ...]
    levels: tuple[int, ...]


@dataclass(frozen=True)
class ScriptLine:
    """`start` and `end`: frames of 20 ms from the beginning of the script."""

    index: int
    speaker: str
    text: str
    start: int
    end: int
    speech: Speech


@dataclass(frozen=True)
class Script:
    """A conversation laid out in time. `frames`: its length in frames of 20 ms."""

    name: str
    speakers: Mapping[str, Speaker]
    lines: tuple[ScriptLine, ...]
    chat: tuple[ScriptedChat, ...]
    frames: int

    def lines_of(self, speaker: str) -> tuple[ScriptLine, ...]:
        return tuple(line for line in self.lines if line.speaker == speaker)


@lru_cache(maxsize=1)
def library() -> Library:
    return Library.model_validate_json((SPEECH / "library.json").read_text("utf-8"))


def load_script(name: str) -> Script:
    """The script called `name`.

    Raises:
        BadInput: there is no such script.
    """
    source = library().scripts.get(name)
    if source is None:
        known = ", ".join(sorted(library().scripts))
        raise BadInput(f"There is no script {name!r}; use one of {known}, or null for none.")
    return _lay_out(name, source)


async def read_script(name: str) -> Script:
    """`load_script` off the event loop: the first time it decodes every sentence."""
    return await asyncio.to_thread(load_script, name)


def _lay_out(name: str, source: ScriptSource) -> Script:
    lines: list[ScriptLine] = []
    end = 0
    for index, line in enumerate(source.lines):
        sentence = library().sentences[line.sentence]
        speech = _speech(line.sentence)
        start = max(0, end + round(line.pause * FRAMES_PER_SECOND))
        end = start + len(speech.packets)
        lines.append(ScriptLine(index, sentence.speaker, sentence.text, start, end, speech))
    names = dict.fromkeys(line.speaker for line in lines)
    speakers = {key: library().speakers[key] for key in names}
    frames = max(line.end for line in lines) + round(source.tail * FRAMES_PER_SECOND)
    return Script(name, speakers, tuple(lines), source.chat, frames)


@lru_cache(maxsize=64)
def _speech(name: str) -> Speech:
    """The packets of one sentence, with the level that a real client would announce for each."""
    packets: list[bytes] = []
    levels: list[int] = []
    with av.open(str(SPEECH / f"{name}.opus")) as container:
        stream = container.streams.audio[0]
        for packet in container.demux(stream):
            if packet.size:
                packets.append(bytes(packet))
                levels.append(_level(packet, stream))
    return Speech(tuple(packets), tuple(levels))


def _level(packet: av.Packet[AudioStream], stream: AudioStream) -> int:
    """Root mean square of one packet in dBov (RFC 6464)."""
    frames = [frame.to_ndarray() for frame in stream.decode(packet)]
    samples = np.concatenate([frame.ravel() for frame in frames]) if frames else np.zeros(1)
    if samples.dtype.kind == "i":
        samples = samples / 32768
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return QUIET_DBOV if power < 1e-12 else max(QUIET_DBOV, min(0, round(10 * np.log10(power))))
