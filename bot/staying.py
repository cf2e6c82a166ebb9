"""In the room: everything that is watched there, and what first ends the stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from playwright.async_api import Error

from bot.auto_leave import evaluate_auto_leave
from bot.browser.bridge import Bridge, PageError
from bot.capture.recorder import Recorder
from bot.endings import Ending, Lost
from bot.hearing import Commands
from bot.joining import wait_for_change
from bot.liveness import Liveness
from bot.observing import RoomObserver
from bot.platforms.room import Room, Sight, View
from bot.racing import any_set, first_of
from bot.reporting import Reporter
from bot.verbs import Performer
from core.clock import Clock
from core.errors import (
    AuthFailure,
    BotFault,
    HostDenied,
    LobbyTimeout,
    MeetingError,
    NetworkLoss,
    RecordingDisabled,
    RemovedFromMeeting,
    RoomUnreachable,
    WaitingForHost,
)
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event, RecordingState
from core.jobs.spec import JobSpec

LOOK_SECONDS: Final = 1.0
TICK_SECONDS: Final = 1.0
# How long a page may show no room before the bot opens another one.
LOST_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Equipment:
    """What a session owns and its parts share."""

    spec: JobSpec
    clock: Clock
    bridge: Bridge
    recorder: Recorder
    observer: RoomObserver
    reporter: Reporter
    commands: Commands
    liveness: Liveness
    performer: Performer


class Stay:
    """One stay in one room. `arrived_at` and `in_room_since` are monotonic seconds.

    `broken` waits until nothing works any more, and says why. `gap` is why nothing was recorded
    before it, None when it is the first stay. `media_told` says
    whether the job store knows that media was captured, before and after.
    """

    def __init__(
        self,
        equipment: Equipment,
        room: Room,
        broken: Callable[[], Coroutine[Any, Any, str]],
        *,
        arrived_at: float | None,
        in_room_since: float,
        network_grace_seconds: float,
        gap: str | None = None,
        media_told: bool = False,
    ) -> None:
        self.media_told = media_told
        self._gap = gap
        self._equipment = equipment
        self._room = room
        self._broken = broken
        self._arrived_at = arrived_at
        self._in_room_since = in_room_since
        self._grace = network_grace_seconds

    async def until_over(self) -> Ending | Lost:
        """Record until something ends the stay, or the bot falls out of it.

        The recorder is left running.

        Raises:
            StaleAttempt: another attempt holds the job.
        """
        try:
            return await first_of(
                until_told(self._equipment.commands),
                self._until_broken(),
                self._until_room_is_gone(),
                self._until_auto_leave(),
                self._equipment.liveness.until_dead(),
                self._record(),
                report_progress(self._equipment),
                self._equipment.performer.perform(self._room),
            )
        except MeetingError as error:
            return Ending(ExitReason.ERROR, error, cancelled=False)

    async def _record(self) -> Ending:
        parts, room = self._equipment, self._room
        if parts.recorder.started:
            await parts.recorder.back()
        else:
            parts.observer.recording_starts()
            await parts.recorder.start(self._gap)
        with suppress(Error, PageError):
            # Without these there is less to observe and more to pay; the recording goes on.
            await room.settle_in()
            if parts.spec.recording.video == "off" and room.capabilities.stop_incoming_video:
                await room.stop_incoming_video()
        await parts.recorder.media_captured.wait()
        if not self.media_told:
            # Said before it is done: the reporter keeps what it could not tell.
            self.media_told = True
            await parts.reporter.moved(Event.MEDIA_CAPTURED, RecordingState.RECORDING)
        # Recording ends nothing by itself.
        never: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        return await never

    async def _until_broken(self) -> Lost:
        recorder, bridge = self._equipment.recorder, self._equipment.bridge
        why = await first_of(self._broken(), _until_any(recorder.failed, bridge.faulted))
        if recorder.failure is not None:
            raise recorder.failure
        if bridge.fault is not None:
            raise BotFault(f"{type(bridge.fault).__name__}: {bridge.fault}")
        return Lost(why, self._equipment.clock.monotonic())

    async def _until_room_is_gone(self) -> Ending | Lost:
        """Until the page says so, or has no room to show any more: then another page may (FC-09).

        A page that is only lost gets time to find its way back by itself.
        """
        clock, changed = self._equipment.clock, self._equipment.observer.view_changed
        patience = min(LOST_SECONDS, self._grace)
        lost_since: float | None = None
        while True:
            changed.clear()
            sight = await self._room.look()
            if ending := ending_of(sight):
                return ending
            now = clock.monotonic()
            lost_since = None if sight.view is View.IN_ROOM else (lost_since or now)
            if lost_since is not None:
                gave_up = sight.view is View.OVER
                if gave_up or now - lost_since >= patience:
                    return Lost("the page lost the room", lost_since, answers=True)
            await wait_for_change(changed, min(LOOK_SECONDS, patience))

    async def _until_auto_leave(self) -> Ending:
        policy, clock = self._equipment.spec.auto_leave, self._equipment.clock
        while True:
            seen = self._equipment.observer.seen(
                arrived_at=self._arrived_at, in_room_since=self._in_room_since
            )
            reason = evaluate_auto_leave(policy, seen, clock.monotonic())
            if reason is ExitReason.ENTRY_DELAY:
                limit = policy.after_entry_delay_seconds
                failure = LobbyTimeout(f"Nobody else came to the meeting within {limit} s.")
                return Ending(reason, failure, cancelled=False)
            if reason is not None:
                return Ending(reason, None, cancelled=False)
            await clock.sleep(TICK_SECONDS)


async def until_told(commands: Commands) -> Ending:
    """Until the customer wants the bot to go."""
    await commands.asked_to_go.wait()
    if commands.cancels:
        return Ending(ExitReason.CANCELLED, None, cancelled=True)
    return Ending(ExitReason.LEAVE_REQUESTED, None, cancelled=False)


async def report_progress(parts: Equipment) -> Ending:
    """Tell the job store how it goes, as long as there is something to tell.

    Raises:
        StaleAttempt: another attempt holds the job.
        MeetingError: recording has failed.
    """
    while True:
        await parts.clock.sleep(TICK_SECONDS)
        await parts.reporter.progress(parts.recorder.progress())


async def _until_any(*events: asyncio.Event) -> str:
    await any_set(*events)
    return "a fault of our own"


def ending_of(sight: Sight) -> Ending | None:
    """How a stay ends that its page says is over; None while it goes on, or may go on elsewhere.

    A page that wants a login in the middle of a call, or has lost its server, says nothing about
    the call: another page may still get in.
    """
    if sight.view is not View.OVER:
        return None
    match sight.failure:
        case NetworkLoss() | RoomUnreachable() | AuthFailure() | LobbyTimeout() | WaitingForHost():
            return None
        case RemovedFromMeeting() as failure:
            return Ending(ExitReason.KICKED, failure, cancelled=False)
        case HostDenied(message=message):
            # Out of the room into the lobby, and not let in again.
            return Ending(ExitReason.KICKED, RemovedFromMeeting(message), cancelled=False)
        case RecordingDisabled() | BotFault() as failure:
            return Ending(ExitReason.ERROR, failure, cancelled=False)
        case _:
            return Ending(ExitReason.CALL_ENDED, None, cancelled=False)
