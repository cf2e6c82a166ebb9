"""The scripted peers of one room: they talk by the script, to every browser in the room."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from core.clock import Clock
from sandbox.conductor import Conductor
from sandbox.messages import Captioned, Said, Signal, ToPage
from sandbox.peer import Link
from sandbox.schemas import ParticipantView, Utterance
from sandbox.script import Script, Speaker
from sandbox.tracks import AudioTrack, FrameClock, VideoTrack
from sandbox.video import Picture

log = logging.getLogger(__name__)

CONNECT_ATTEMPTS: Final = 3
# The script does not wait longer than this for a peer that cannot be connected.
START_SECONDS: Final = 8


Camera = Callable[[Speaker], Awaitable[Sequence[Picture]]]


class Actor:
    """A scripted participant and its connections by viewer."""

    def __init__(self, key: str, speaker: Speaker, camera: Camera | None) -> None:
        self.key = key
        self.id = f"p_{secrets.token_hex(5)}"
        self.speaker = speaker
        self.camera = camera
        self.muted = False
        self.links: dict[str, Link] = {}
        self.past_key_frame_requests = 0

    @property
    def view(self) -> ParticipantView:
        return ParticipantView(
            participant_id=self.id,
            display_name=self.speaker.display_name,
            host=self.speaker.host,
            kind="scripted",
            microphone=not self.muted,
            camera=self.camera is not None,
        )

    @property
    def key_frame_requests(self) -> int:
        links = (link.video.key_frame_requests for link in self.links.values() if link.video)
        return self.past_key_frame_requests + sum(links)


class Stage:
    """`announce` tells every browser, `tell` one; `finished` is called when the script is over.

    `camera` gives the pictures of a speaker, which may take seconds the first time; None: no video.
    """

    def __init__(
        self,
        script: Script,
        camera: Camera | None,
        clock: Clock,
        *,
        loop: bool,
        captions: bool,
        announce: Callable[[Said | Captioned], None],
        tell: Callable[[str, ToPage], None],
        finished: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._frames = FrameClock(clock)
        self._actors: dict[str, Actor] = {}
        for key, speaker in script.speakers.items():
            actor = Actor(key, speaker, camera)
            self._actors[actor.id] = actor
        self._conductor = Conductor(
            script,
            {actor.key: actor for actor in self._actors.values()},
            self._frames,
            clock,
            loop=loop,
            captions=captions,
            announce=announce,
            finished=finished,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._viewers: set[str] = set()
        self._without_video: set[str] = set()

    @property
    def participants(self) -> tuple[ParticipantView, ...]:
        return tuple(actor.view for actor in self._actors.values())

    @property
    def timeline(self) -> tuple[Utterance, ...]:
        return self._conductor.timeline

    @property
    def key_frame_requests(self) -> int:
        return sum(actor.key_frame_requests for actor in self._actors.values())

    def __contains__(self, participant_id: str) -> bool:
        return participant_id in self._actors

    def viewer_in(self, viewer: str) -> None:
        """Connect every actor to a browser; the script begins with the first connection."""
        self._viewers.add(viewer)
        self._spawn(self._greet(viewer))

    async def _greet(self, viewer: str) -> None:
        """Connect all, then begin, so that the first sentence is heard whole."""
        actors = list(self._actors.values())
        for actor in actors:
            if actor.camera:
                await actor.camera(actor.speaker)
        work = [asyncio.create_task(self._connect(actor, viewer)) for actor in actors]
        for task in work:
            self._keep(task)
        await asyncio.wait(work, timeout=START_SECONDS)
        if viewer in self._viewers:
            self._conductor.start()

    async def _connect(self, actor: Actor, viewer: str) -> None:
        for _ in range(CONNECT_ATTEMPTS):
            if viewer not in self._viewers or actor.id not in self._actors:
                return
            link = await self._link(actor, viewer)
            await link.offer()
            if await link.wait_connected():
                self._spawn(self._watch(actor, viewer, link))
                return
            self._unlink(actor, viewer, link)
        log.warning("%s could not be connected to a browser", actor.speaker.display_name)

    async def _link(self, actor: Actor, viewer: str) -> Link:
        audio = AudioTrack(self._frames, lambda frame: self._conductor.sound(actor.key, frame))
        video = None
        if actor.camera:
            video = VideoTrack(await actor.camera(actor.speaker), self._clock)
            if viewer in self._without_video:
                video.wanted.clear()
        link = Link(actor.id, audio, video, lambda signal: self._tell(viewer, signal))
        actor.links[viewer] = link
        return link

    async def _watch(self, actor: Actor, viewer: str, link: Link) -> None:
        """Connect again when an established connection breaks while the browser stays."""
        await link.failed.wait()
        if actor.links.get(viewer) is link:
            self._unlink(actor, viewer, link)
            await self._connect(actor, viewer)

    def _unlink(self, actor: Actor, viewer: str, link: Link) -> None:
        if actor.links.get(viewer) is not link:
            return
        del actor.links[viewer]
        if link.video:
            actor.past_key_frame_requests += link.video.key_frame_requests
        closing = asyncio.create_task(link.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def viewer_out(self, viewer: str) -> None:
        self._viewers.discard(viewer)
        self._without_video.discard(viewer)
        for actor in self._actors.values():
            link = actor.links.get(viewer)
            if link:
                self._unlink(actor, viewer, link)

    def hear(self, viewer: str, signal: Signal) -> None:
        actor = self._actors.get(signal.peer)
        link = actor.links.get(viewer) if actor else None
        if link:
            self._spawn(link.hear(signal))

    def incoming_video(self, viewer: str, on: bool) -> None:
        """Start or stop sending cameras to one browser."""
        (self._without_video.discard if on else self._without_video.add)(viewer)
        for actor in self._actors.values():
            link = actor.links.get(viewer)
            if link and link.video:
                (link.video.wanted.set if on else link.video.wanted.clear)()

    def mute(self, participant_id: str) -> ParticipantView:
        actor = self._actors[participant_id]
        actor.muted = True
        return actor.view

    def remove(self, participant_id: str) -> None:
        """The actor leaves the room; its lines stay unspoken."""
        actor = self._actors.pop(participant_id)
        actor.muted = True
        for viewer, link in list(actor.links.items()):
            self._unlink(actor, viewer, link)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._keep(asyncio.create_task(work))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("a scripted peer failed", exc_info=task.exception())

    async def close(self) -> None:
        await self._conductor.close()
        for viewer in list(self._viewers):
            self.viewer_out(viewer)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._closing, return_exceptions=True)
