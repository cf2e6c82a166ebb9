"""What a meeting page would say, without a page: scripted speech as encoded frames, in real time.

The frames take the way of real ones: base64 records in numbered chunks every 200 ms, through the
recorder's own checks, so that what a simulated bot costs is what a real one costs without Chromium.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import BaseModel

from bot.browser.bridge import Bridge
from bot.capture.frames import Frame, FrameChunk, TrackSeen, pack_record
from bot.platforms.observations import OwnerSeen, ParticipantSeen, RosterSeen, ViewSeen
from bot.platforms.room import View
from core.clock import Clock, epoch_ms
from sandbox.script import QUIET_DBOV, SILENCE, Script

BATCH_SECONDS: Final = 0.2
FRAME_MS: Final = 20
FRAME_SAMPLES: Final = 960
DOCUMENT: Final = "simulated"
BOT: Final = "bot"


class SimulatedBridge(Bridge):
    """A bridge whose page is this process. Commands to the page fail, as when it is gone."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._heard: dict[str, Callable[[Any], None]] = {}

    def on(self, kind: str, model: type[Any], handler: Callable[[Any], None]) -> None:
        super().on(kind, model, handler)
        self._heard[kind] = handler

    def say(self, kind: str, message: BaseModel) -> None:
        """Deliver a message, as if a page had sent it."""
        handler = self._heard.get(kind)
        if handler is not None:
            handler(message)


class SimulatedPage:
    """One conversation, over and over, from the moment of the first `speak`."""

    def __init__(self, script: Script, bridge: SimulatedBridge, clock: Clock, name: str) -> None:
        self._script = script
        self._bridge = bridge
        self._clock = clock
        self._name = name
        self._speakers = tuple(script.speakers)
        self._packets = {speaker: _packets(script, speaker) for speaker in self._speakers}
        self._began: float | None = None
        self._began_ms = 0.0
        self._sent = 0
        self._chunks = 0

    def enter(self) -> None:
        """Everybody is in the room, and everybody's track is known."""
        people = [
            ParticipantSeen(platform_id=key, display_name=who.display_name, is_host=who.host)
            for key, who in self._script.speakers.items()
        ]
        me = ParticipantSeen(platform_id=BOT, display_name=self._name, is_self=True)
        self._bridge.say("roster", RosterSeen(participants=[*people, me]))
        self._bridge.say("view", ViewSeen(view=View.IN_ROOM))
        for index, key in enumerate(self._speakers):
            seen = {"doc": DOCUMENT, "index": index, "trackId": key, "kind": "audio"}
            self._bridge.say("track", TrackSeen.model_validate(seen))
            self._bridge.say(
                "owner",
                OwnerSeen(
                    track_id=key,
                    platform_id=key,
                    source="microphone",
                    attribution="track-owner",
                    isolation="track",
                    confidence=1,
                ),
            )

    async def speak(self) -> None:
        """Send what is due every 200 ms, until cancelled."""
        while True:
            self.send_due()
            await self._clock.sleep(BATCH_SECONDS)

    def send_due(self) -> None:
        """Send every frame whose time has come; after a stall all of them at once."""
        now = self._clock.monotonic()
        if self._began is None:
            self._began, self._began_ms = now, epoch_ms(self._clock.now())
        due = int((now - self._began) * 1000 / FRAME_MS)
        data = b"".join(
            pack_record(frame)
            for number in range(self._sent, due)
            for frame in self._frames(number)
        )
        self._sent = due
        if data:
            text = base64.b64encode(data).decode()
            chunk = FrameChunk(doc=DOCUMENT, n=self._chunks, first=True, at=0.0, data=text)
            self._chunks += 1
            self._bridge.say("frames", chunk)

    def _frames(self, number: int) -> Iterator[Frame]:
        place = number % self._script.frames
        for index, speaker in enumerate(self._speakers):
            payload, level = self._packets[speaker].get(place, (SILENCE, QUIET_DBOV))
            yield Frame(
                index=index,
                codec="opus",
                key=False,
                delayed=False,
                ssrc=index + 1,
                rtp=number * FRAME_SAMPLES % 2**32,
                sequence=number % 2**16,
                csrcs=(),
                arrival_ms=self._began_ms + number * FRAME_MS,
                level=10 ** (level / 20),
                width=0,
                height=0,
                payload=payload,
            )


def _packets(script: Script, speaker: str) -> dict[int, tuple[bytes, int]]:
    """A speaker's packets and levels, by their place in the script."""
    return {
        line.start + number: packet
        for line in script.lines_of(speaker)
        for number, packet in enumerate(zip(line.speech.packets, line.speech.levels, strict=True))
    }
