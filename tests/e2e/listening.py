"""Recorded files against what the sandbox's peers really sent: who, what, when, how loud."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from sandbox.schemas import ChatMessage, RoomView, Utterance
from sandbox.script import SPEECH, library
from tests.bot.listening import Samples, decibels, decode, find, part
from tests.e2e.operator import Operator

RATE: Final = 16_000
AUDIBLE_DB: Final = -45
WINDOW_MS: Final = 20

Json = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A sentence that lies wholly in the recording; ms since its start."""

    name: str
    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True)
class Heard:
    """A recording, decoded: one track of sound per display name, and the room's own account."""

    manifest: Json
    room: RoomView
    sounds: dict[str, Samples]

    @property
    def start_ms(self) -> float:
        """The recording's zero, as epoch milliseconds."""
        return datetime.fromisoformat(self.manifest["startedAt"]).timestamp() * 1000

    @property
    def end_ms(self) -> float:
        return float(max(track["endOffsetMs"] for track in self.manifest["tracks"]))

    def lines(self) -> list[Line]:
        """What was said within the recording, in order."""
        found = [
            Line(
                said.display_name,
                said.text,
                said.started_at_ms - self.start_ms,
                said.ended_at_ms - self.start_ms,
            )
            for said in self.room.timeline
            if said.ended_at_ms is not None
        ]
        return [line for line in found if line.start_ms > 0 and line.end_ms < self.end_ms - 300]

    def chat(self) -> list[ChatMessage]:
        """What was written in the room within the recording: the bot is gone before it is asked."""
        left = self.start_ms + self.end_ms - 300
        return [message for message in self.room.chat if self.start_ms <= message.at < left]

    def crosstalk_db(self, line: Line) -> float | None:
        """The loudest other track against the speaker's own; None while others talk, too."""
        own = decibels(part(self.sounds[line.name], line.start_ms, line.end_ms, RATE))
        others = [other for other in self.room.timeline if other.display_name != line.name]
        if any(self._overlaps(other, line) for other in others):
            return None
        return max(
            decibels(part(sound, line.start_ms, line.end_ms, RATE)) - own
            for name, sound in self.sounds.items()
            if name != line.name
        )

    def shift_ms(self, line: Line) -> float:
        """How far from its true moment a sentence lies in its speaker's file."""
        source = decode(SPEECH / f"{_sentence(line.text)}.opus", RATE)
        around = max(0.0, line.start_ms - 1000)
        within = part(self.sounds[line.name], around, line.end_ms + 1500, RATE)
        where, alike = find(source, within, RATE)
        assert alike > 0.7, f"{line.text!r} is not what {line.name} says in the file"
        return around + where - line.start_ms

    def last_sound_ms(self, before_ms: float = float("inf")) -> float:
        """When anybody was last heard (before that moment), as epoch milliseconds."""
        window = RATE * WINDOW_MS // 1000
        last = 0
        for whole in self.sounds.values():
            length = min(len(whole), max(0.0, before_ms - self.start_ms) * RATE / 1000)
            sound = whole[: int(length)]
            frames = sound[: len(sound) // window * window].reshape(-1, window)
            levels = 20 * np.log10(np.maximum(1e-9, np.sqrt(np.mean(np.square(frames), axis=1))))
            loud = np.flatnonzero(levels > AUDIBLE_DB)
            last = max(last, int(loud[-1] + 1) if len(loud) else 0)
        return self.start_ms + last * WINDOW_MS

    def _overlaps(self, other: Utterance, line: Line) -> bool:
        start = other.started_at_ms - self.start_ms
        end = (other.ended_at_ms or other.started_at_ms + 60_000) - self.start_ms
        return start < line.end_ms + 200 and end > line.start_ms - 200


async def hear(operator: Operator, job_id: str, room: RoomView, folder: Path) -> Heard:
    """Fetch a job's manifest and audio from the bucket, and decode them."""
    manifest = await operator.manifest(job_id)
    names = {speaker["id"]: speaker["displayName"] for speaker in manifest["speakers"]}
    sounds = {}
    for track in manifest["tracks"]:
        if track["kind"] == "per-speaker":
            path = folder / f"{track['trackId']}.ogg"
            name = track["uri"].rpartition(f"recordings/{job_id}/")[2]
            path.write_bytes(await operator.read(job_id, name))
            sounds[names[track["speakerId"]]] = decode(path, RATE)
    return Heard(manifest, room, sounds)


def last_spoken_ms(room: RoomView, until_ms: float) -> float:
    """The last moment before `until_ms` at which a peer was sending speech, epoch ms."""
    ends = [
        min(until_ms, said.ended_at_ms or until_ms)
        for said in room.timeline
        if said.started_at_ms < until_ms
    ]
    return max(ends)


def _sentence(text: str) -> str:
    """The name under which the sandbox keeps a sentence."""
    return next(name for name, known in library().sentences.items() if known.text == text)
