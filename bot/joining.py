"""Getting into the room: one loop over what the page shows, for every platform (PL-03, PL-06)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from playwright.async_api import Error

from bot.platforms.room import Entry, Room, Sight, View
from core.clock import Clock
from core.errors import (
    HostDenied,
    LobbyTimeout,
    MeetingEnded,
    MeetingError,
    NetworkLoss,
    RemovedFromMeeting,
    RoomUnreachable,
    UnknownScreen,
    WaitingForHost,
)

log = logging.getLogger(__name__)

# The page tells of changes at once; this is for pages that do not.
LOOK_SECONDS: Final = 0.4
# A page that goes from one screen to the next and back is given so many times a step's time.
MOST_STEPS: Final = 4


@dataclass(frozen=True)
class JoinLimits:
    """In seconds: for every step before the lobby, and for lobby and empty room together."""

    step_seconds: float
    entry_delay_seconds: float


class Joiner:
    """One job's way to the door. `arrived_at` (monotonic) starts the entry clock (LC-26)."""

    def __init__(
        self,
        limits: JoinLimits,
        entry: Entry,
        clock: Clock,
        view_changed: asyncio.Event,
        on_lobby: Callable[[], Awaitable[None]],
    ) -> None:
        self.arrived_at: float | None = None
        self._limits = limits
        self._entry = entry
        self._clock = clock
        self._view_changed = view_changed
        self._on_lobby = on_lobby

    async def enter(self, room: Room, *, opened: bool = False) -> None:
        """From the address to inside the room; one attempt. `opened`: the page is loaded already.

        Raises:
            MeetingError: what kept the bot out. `UnknownScreen`: the page shows nothing known.
        """
        if not opened:
            await room.open()
        asked = False
        in_lobby = False
        view: View | None = None
        since = outside_since = self._clock.monotonic()
        while True:
            self._view_changed.clear()
            sight = await room.look()
            if sight.view is not view:
                view, since = sight.view, self._clock.monotonic()
            if sight.view is View.OVER:
                raise _at_the_door(sight)
            if sight.view is View.IN_ROOM:
                await self._step_in(room, asked=asked)
                return
            if sight.view is View.LOBBY:
                # From here on the entry clock counts.
                outside_since = self._clock.monotonic()
                self._arrive()
                if not in_lobby:
                    in_lobby = True
                    await self._on_lobby()
                self._check_entry_clock(sight)
            elif sight.view is View.PREJOIN and not asked:
                await self._ask(room)
                asked = True
                continue
            else:
                self._check_step(sight, since, outside_since)
            await wait_for_change(self._view_changed, LOOK_SECONDS)

    def _check_step(self, sight: Sight, since: float, outside_since: float) -> None:
        now, limit = self._clock.monotonic(), self._limits.step_seconds
        if now - since > limit:
            raise UnknownScreen(f"The page stayed at {sight.view} for {limit:g} s{_quoted(sight)}.")
        if now - outside_since > MOST_STEPS * limit:
            raise UnknownScreen(
                f"The page went from screen to screen for {MOST_STEPS * limit:g} s and led to no "
                f"room, at last at {sight.view}{_quoted(sight)}."
            )

    async def _ask(self, room: Room) -> None:
        try:
            await room.ask_to_join(self._entry)
        except Error as error:
            reason = error.message.splitlines()[0][:200]
            message = f"The join form did not work as expected: {reason}"
            raise UnknownScreen(message) from error

    async def _step_in(self, room: Room, *, asked: bool) -> None:
        if not asked:
            # There was no door: the name and what is off are said inside (PL-47).
            await self._ask(room)
        self._arrive()

    def _arrive(self) -> None:
        if self.arrived_at is None:
            self.arrived_at = self._clock.monotonic()

    def _check_entry_clock(self, sight: Sight) -> None:
        limit = self._limits.entry_delay_seconds
        if self.arrived_at is None or self._clock.monotonic() - self.arrived_at < limit:
            return
        waited = f"after {limit:g} s in the lobby{_quoted(sight)}"
        if sight.waiting_for_host:
            raise WaitingForHost(f"The host had not come {waited}.")
        raise LobbyTimeout(f"Nobody had let the bot in {waited}.")


async def wait_for_change(changed: asyncio.Event, seconds: float) -> None:
    """Until `changed` is set, at most `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await changed.wait()


def _at_the_door(sight: Sight) -> MeetingError:
    """Before the bot is in, being removed is a refusal and a lost server may come back."""
    match sight.failure:
        case None:
            return MeetingEnded(f"The meeting is over{_quoted(sight)}.")
        case RemovedFromMeeting(message=message):
            return HostDenied(message)
        case NetworkLoss(message=message):
            return RoomUnreachable(message)
        case failure:
            return failure


def _quoted(sight: Sight) -> str:
    return f" ({sight.evidence!r})" if sight.evidence else ""
