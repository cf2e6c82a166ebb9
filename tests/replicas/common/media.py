"""People who speak in a replica, over real WebRTC, in the shape of each platform's connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from core.clock import SystemClock
from sandbox.conductor import Conductor
from sandbox.messages import Captioned, Said, Signal
from sandbox.peer import Link, _announce_levels
from sandbox.schemas import Utterance
from sandbox.script import Line, Script, ScriptSource, Speaker, _lay_out, library
from sandbox.tracks import AudioTrack, FrameClock
from tests.replicas.common.rooms import ReplicaRoom

CONNECT_SECONDS = 20
# Sentence and pause before it; a negative one talks over the end of the sentence before.
LINES = (
    ("ada-close", 0.3),
    ("ben-report", 1.2),
    ("cleo-thanks", -0.6),
    ("ada-close", 0.3),
)


def script() -> Script:
    """A short meeting of three with an overlap."""
    lines = tuple(Line(sentence=name, pause=pause) for name, pause in LINES)
    return _lay_out("replica", ScriptSource(lines=lines, chat=(), tail=0.8))


def names() -> tuple[str, ...]:
    """Of the script's people, in the order in which they first speak."""
    return tuple(speaker.display_name for speaker in script().speakers.values())


@dataclass
class Person:
    id: str
    speaker: Speaker
    muted: bool = False


@dataclass
class Speakers:
    """Plays the script into one room. `stream_id` names the media stream of a person's voice."""

    room: ReplicaRoom
    stream_id: Callable[[str], str]
    links: list[Link] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.script = script()
        self.over = asyncio.Event()
        self._frames = FrameClock(clock)
        self._hearing: set[asyncio.Task[None]] = set()
        self.cast: dict[str, Person] = {}
        for person, (key, speaker) in zip(
            self.room.people, self.script.speakers.items(), strict=True
        ):
            person["streams"] = [self.stream_id(str(person["id"]))]
            self.cast[key] = Person(str(person["id"]), speaker)
        self.conductor = Conductor(
            self.script,
            self.cast,
            self._frames,
            clock,
            loop=False,
            captions=True,
            announce=self._announce,
            finished=self.over.set,
        )
        self.room.signal = self._hear

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.conductor.close()
        await asyncio.gather(*(link.close() for link in self.links), return_exceptions=True)

    @property
    def timeline(self) -> tuple[Utterance, ...]:
        return self.conductor.timeline

    async def mesh(self) -> None:
        """One connection for each person, as in small rooms."""
        await asyncio.gather(*(self.connect([key]) for key in self.cast))

    async def peer_to_peer_then_bridge(self) -> None:
        """The first person directly; when the first sentence is over, all from a server: other
        connections and other tracks for the same people."""
        first = next(iter(self.cast))
        direct = await self.connect([first])
        self.conductor.start()
        await self._frames.until(self._frames.now() + self.script.lines[0].end + 25)
        self.room.tell({"type": "hang-up", "connection": direct._id})
        await asyncio.gather(direct.close(), self.connect([*self.cast]))

    async def connect(self, keys: Sequence[str]) -> Link:
        """A connection that carries the voices of these people."""
        link = Link(keys[0], self._voice(keys[0]), None, self._send)
        for key in keys[1:]:
            voice = self._voice(key)
            _announce_levels(link._add(voice, "audio/opus"), voice)
        for key, sender in zip(keys, link._pc.getSenders(), strict=True):
            sender._stream_id = self.stream_id(self.cast[key].id)
        self.links.append(link)
        await link.offer()
        assert await link.wait_connected(), "the replica's media did not connect"
        return link

    def _voice(self, key: str) -> AudioTrack:
        return AudioTrack(self._frames, lambda frame: self.conductor.sound(key, frame))

    def _send(self, signal: Signal) -> None:
        assert signal.description is not None
        offer = {"type": "offer", "connection": signal.connection, "peer": signal.peer}
        self.room.tell({**offer, "sdp": signal.description["sdp"]})

    def _hear(self, message: dict[str, Any]) -> None:
        for link in self.links:
            if link._id == message["connection"]:
                signal = Signal(
                    peer=link._peer_id,
                    connection=link._id,
                    description=dict(message["description"]),
                )
                task = asyncio.create_task(link.hear(signal))
                self._hearing.add(task)
                task.add_done_callback(self._hearing.discard)

    def _announce(self, message: Said | Captioned) -> None:
        if isinstance(message, Captioned):
            said = message.caption
            self.room.caption(said.caption_id, said.participant_id, said.text, final=said.final)


def known_sentences() -> set[str]:
    return {sentence.text for sentence in library().sentences.values()}
