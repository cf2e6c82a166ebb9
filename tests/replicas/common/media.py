"""People who speak in a replica, over real WebRTC, in the shape of each platform's connections."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from core.clock import SystemClock
from sandbox.conductor import Conductor
from sandbox.messages import Captioned, Said, Signal
from sandbox.peer import Link, _announce_levels
from sandbox.schemas import Utterance
from sandbox.script import Line, Script, ScriptSource, Speaker, _lay_out, library
from sandbox.tracks import AudioTrack, FrameClock, Sound
from tests.replicas.common.mixing import mixed, name_sources, shown, voice_frames
from tests.replicas.common.rooms import ReplicaRoom
from tests.replicas.common.turns import RECEIVERS, Rotation
from tests.replicas.meet.channels import Channels

CONNECT_SECONDS = 20
# Sentence and pause before it; a negative one talks over the end of the sentence before.
LINES = (
    ("ada-close", 0.3),
    ("ben-report", 1.2),
    ("cleo-thanks", -0.9),
    ("ada-close", -0.7),
)
# How long after the beginning a client knows whose each source of a mix is, frames.
ROSTER_FRAMES = 100
FIRST_SOURCE = 700_001
OPENING_FRAMES = 60
KEPT_UP = 0.97


def script() -> Script:
    """A short meeting of three with overlaps, of a sixth of what is said."""
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
    # Of the person's voice in a mix.
    source: int = 0


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
        self._tasks: set[asyncio.Task[None]] = set()
        self.cast: dict[str, Person] = {}
        for person, (key, speaker) in zip(
            self.room.people, self.script.speakers.items(), strict=True
        ):
            person["streams"] = [self.stream_id(str(person["id"]))]
            source = FIRST_SOURCE + len(self.cast)
            self.cast[key] = Person(str(person["id"]), speaker, source=source)
        self.rotation: Rotation | None = None
        self.channels: Channels | None = None
        # Those named in the header of the mix's next packet.
        self._named: tuple[int, ...] = ()
        # Of each person, when 20 ms of their voice went into the mix, ms since 1970.
        self.voiced: dict[str, list[float]] = {one.id: [] for one in self.cast.values()}
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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.conductor.close()
        await asyncio.gather(*(link.close() for link in self.links), return_exceptions=True)

    @property
    def timeline(self) -> tuple[Utterance, ...]:
        return self.conductor.timeline

    @property
    def kept_up(self) -> bool:
        """Whether nearly all voice of the script was sent: a machine that stands still leaves out
        what was due meanwhile, and what was not said cannot be heard."""
        return all(
            len(self.voiced[person.id]) >= KEPT_UP * voice_frames(self.script, key)
            for key, person in self.cast.items()
            if any(self.voiced.values())
        )

    async def begin(self, topology: str) -> None:
        """Connect as the platform does, and begin to speak."""
        match topology:
            case "mesh":
                await self.mesh()
            case "bridge":
                await self.peer_to_peer_then_bridge()
            case "sfu":
                await self.connect([*self.cast])
            case "mix":
                await self.mix()
            case "turns":
                await self.take_turns()
            case "played":
                self.room.tell({"type": "sound_on"})
                # The bot is in the room a while before anybody speaks.
                await self._frames.until(self._frames.now() + OPENING_FRAMES)
                self._run(self._play())
        self.conductor.start()

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

    async def mix(self) -> None:
        """One track of all, from a server that mixes them and says in each packet whose it is."""
        link = Link("mix", AudioTrack(self._frames, self._mixed()), None, self._send)
        (sender,) = link._pc.getSenders()
        sender._stream_id = self.stream_id("mix")
        await self._open(link)
        name_sources(sender, lambda: self._named)
        self._run(self._show())
        self._run(self._learn_sources())

    async def take_turns(self) -> None:
        """Three tracks for whoever speaks, and channels that say whose each source is."""
        rotation = self.rotation = Rotation(
            {key: person.source for key, person in self.cast.items()},
            self.conductor.sound,
            self._note_voice,
        )
        tracks = [_Turns(self._frames, rotation, number) for number in range(RECEIVERS)]
        link = Link("turns", tracks[0], None, self._send)
        for track in tracks[1:]:
            _announce_levels(link._add(track, "audio/opus"), track)
        senders = link._pc.getSenders()
        for number, sender in enumerate(senders):
            sender._stream_id = self.stream_id(str(number))
        if self.room.scenario.api:
            people = self.room.people
            self.channels = Channels(link._pc, people, [*self.cast.values()], self._after)
            self.room.came = self.channels.came
        await self._open(link)
        for track, sender in zip(tracks, senders, strict=True):
            name_sources(sender, partial(getattr, track, "sources"))
        self.conductor.start()
        self._run(self._show())

    def _note_voice(self, key: str, frame: int) -> None:
        if self.conductor._position(frame) is not None:
            self.voiced[self.cast[key].id].append(self.conductor._due_ms(frame))

    def _after(self, frames: int, call: Callable[[], None]) -> None:
        async def later() -> None:
            await self._frames.until(self._frames.now() + frames)
            call()

        self._run(later())

    def _mixed(self) -> Callable[[int], Sound]:
        frames = mixed(self.script)

        def sound(frame: int) -> Sound:
            position = self.conductor._position(frame)
            self._named = ()
            if position is None:
                return Sound()
            for key in self.cast:
                # The mix is what is sent; the conductor notes who speaks in it.
                self.conductor.sound(key, frame)
            at_ms = self.conductor._due_ms(frame)
            here = frames[position[1]]
            for key in here.voices:
                self.voiced[self.cast[key].id].append(at_ms)
            self._named = tuple(self.cast[key].source for key in here.named)
            return Sound(here.payload, here.level)

        return sound

    async def _play(self) -> None:
        """The mix, in the platform's own way and not by WebRTC: the page decodes and plays it."""
        sound_at = self._mixed()
        start = self.conductor._start or 0
        self._run(self._show())
        for frame in range(start, start + self.script.frames):
            await self._frames.until(frame)
            payload = sound_at(frame).payload
            if payload is not None:
                data = base64.b64encode(payload).decode()
                self.room.tell({"type": "sound", "number": frame - start, "data": data})

    async def _show(self) -> None:
        """The page's signs of who speaks."""
        start = self.conductor._start or 0
        for cue in shown(self.script):
            await self._frames.until(start + cue.frame)
            person = self.cast[cue.who]
            name = person.speaker.display_name
            self.room.tell({"type": "speaking", "id": person.id, "name": name, "on": cue.on})

    async def _learn_sources(self) -> None:
        await self._frames.until((self.conductor._start or 0) + ROSTER_FRAMES)
        for person in self.cast.values():
            for row in self.room.people:
                if row["id"] == person.id:
                    row["sources"] = [person.source]
        self.room.tell({"type": "people", "people": self.room.people})

    async def connect(self, keys: Sequence[str]) -> Link:
        """A connection that carries the voices of these people."""
        link = Link(keys[0], self._voice(keys[0]), None, self._send)
        for key in keys[1:]:
            voice = self._voice(key)
            _announce_levels(link._add(voice, "audio/opus"), voice)
        for key, sender in zip(keys, link._pc.getSenders(), strict=True):
            sender._stream_id = self.stream_id(self.cast[key].id)
        await self._open(link)
        return link

    async def _open(self, link: Link) -> None:
        self.links.append(link)
        await link.offer()
        assert await link.wait_connected(), "the replica's media did not connect"

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
                self._run(link.hear(signal))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _announce(self, message: Said | Captioned) -> None:
        if isinstance(message, Captioned):
            said = message.caption
            told = (said.caption_id, said.participant_id, said.text)
            self.room.caption(*told, final=said.final)
            if self.channels is not None:
                self.channels.caption(*told, final=said.final)


class _Turns(AudioTrack):
    """One receiver's track; `sources` are those of the packet that is sent next."""

    def __init__(self, frames: FrameClock, rotation: Rotation, number: int) -> None:
        self.sources: tuple[int, ...] = ()
        super().__init__(frames, partial(self._carried, rotation, number))

    def _carried(self, rotation: Rotation, number: int, frame: int) -> Sound:
        carried = rotation.at(number, frame)
        self.sources = carried.sources
        return carried.sound


def known_sentences() -> set[str]:
    return {sentence.text for sentence in library().sentences.values()}
