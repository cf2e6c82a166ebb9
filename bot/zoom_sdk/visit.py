"""One bot's stay by Zoom's SDK: what `bot.visit.Visit` is to a browser."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

from playwright.async_api import Page

from bot.browser.bridge import Bridge
from bot.browser.launch import Chromium
from bot.joining import Joiner
from bot.platforms.observations import ChatSeen, OwnerSeen, RosterSeen, ViewSeen
from bot.platforms.room import Room, View
from bot.racing import first_of
from bot.zoom_sdk import binding
from bot.zoom_sdk.meeting import Ears, SdkMeeting
from bot.zoom_sdk.pump import Pump
from bot.zoom_sdk.room import SdkRoom
from bot.zoom_sdk.sound import Sound
from core.clock import Clock
from core.errors import BotFault, MeetingError
from core.jobs.spec import JobSpec
from core.platforms.zoom_settings import ZoomSettings

log = logging.getLogger(__name__)

LEAVE_TIMEOUT_SECONDS: Final = 4.0
# Names and microphones change without a call.
ROSTER_SECONDS: Final = 2.0
# What a page answers by itself. A frozen SDK freezes this process, whose lease then runs out.
_COMMANDS: Final = ("liveness.ping", "capture.flush", "capture.want", "capture.key-frames")


class SdkVisit:
    """Has no browser and no page; the bridge is served by this process."""

    chromium: Chromium | None = None
    page: Page | None = None

    def __init__(
        self,
        spec: JobSpec,
        settings: ZoomSettings,
        bridge: Bridge,
        clock: Clock,
        sdk: Any,
        pump: Pump,
    ) -> None:
        self.room: Room | None = None
        self._spec = spec
        self._settings = settings
        self._bridge = bridge
        self._clock = clock
        self._sdk = sdk
        self._pump = pump
        self._meeting: SdkMeeting | None = None
        self._turning: asyncio.Task[None] | None = None
        self._entries = 0

    def make_ready(self, *, early: bool) -> None:
        """There is nothing that takes long."""

    async def enter(self, joiner: Joiner) -> None:
        """A fresh meeting, and with `joiner` into it.

        Raises:
            MeetingError: what kept the bot out; it may still be at the door.
        """
        await self.close()
        self._entries += 1
        self._bridge.serve(dict.fromkeys(_COMMANDS, _nothing))
        sound = Sound(self._bridge, f"zoom-sdk-{self._entries}", self._own)
        ears = Ears(
            heard=sound.hear,
            roster=self._tell_roster,
            left=sound.gone,
            chat=self._tell_chat,
            changed=lambda: self._bridge.emit("view", ViewSeen(view=View.LOADING)),
        )
        meeting = self._meeting = SdkMeeting(self._sdk, ears, self._clock)
        self._turning = asyncio.create_task(self._turn(), name="zoom-sdk")
        self.room = SdkRoom(
            self._sdk,
            meeting,
            self._spec.room_url,
            binding.token(self._settings, self._clock),
            self._settings.permission_seconds,
        )
        await first_of(self._until_stuck(), joiner.enter(self.room))

    async def until_broken(self) -> str:
        """Why nothing works any more."""
        turning = self._turning
        if turning is not None:
            await asyncio.wait([turning])
            if not turning.cancelled() and (error := turning.exception()) is not None:
                log.error("Zoom's SDK stopped: %r", error)
        return "Zoom's SDK stopped"

    async def keep_evidence(self, when: str) -> tuple[str, ...]:  # noqa: ARG002 - as of a page
        """There is nothing to see: the SDK's numbers are in the log and in what failed."""
        return ()

    async def leave(self) -> None:
        """Out of the room, or away from the door; never raises."""
        room, self.room = self.room, None
        if room is None:
            return
        with suppress(MeetingError, TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_SECONDS):
                await room.leave()

    async def close(self, *, politely: bool = True) -> None:  # noqa: ARG002 - as of a browser
        """End the SDK."""
        turning, self._turning = self._turning, None
        if turning is not None:
            turning.cancel()
            await asyncio.gather(turning, return_exceptions=True)
        meeting, self._meeting, self.room = self._meeting, None, None
        if meeting is not None:
            meeting.stop()
        await self._bridge.detach()

    async def _until_stuck(self) -> None:
        raise BotFault(f"{await self.until_broken()} while joining.")

    async def _turn(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump.turn())
            tasks.create_task(self._look_around())

    async def _look_around(self) -> None:
        while True:
            await self._clock.sleep(ROSTER_SECONDS)
            room = self.room
            if room is not None and (await room.look()).view is View.IN_ROOM:
                self._tell_roster()

    def _tell_roster(self) -> None:
        if self._meeting is not None:
            self._bridge.emit("roster", RosterSeen(participants=self._meeting.people()[:2000]))

    def _tell_chat(self, seen: ChatSeen) -> None:
        self._bridge.emit("chat", seen)

    def _own(self, person: int, track_id: str) -> None:
        self._bridge.emit(
            "owner",
            OwnerSeen(
                track_id=track_id,
                platform_id=str(person),
                source="microphone",
                attribution="track-owner",
                isolation="track",
                confidence=1.0,
            ),
        )


def _nothing(_args: object) -> None:
    return None
