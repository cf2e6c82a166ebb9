"""The way into a room, over what a page shows (PL-03), without a page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain, cycle
from typing import cast

import pytest

from bot import joining
from bot.joining import Joiner, JoinLimits
from bot.platforms.room import Entry, Room, Sight, View
from bot.staying import ending_of
from core.errors import (
    AuthFailure,
    BotFault,
    HostDenied,
    LobbyTimeout,
    MeetingEnded,
    MeetingError,
    MeetingNotFound,
    NetworkLoss,
    RecordingDisabled,
    RemovedFromMeeting,
    RoomUnreachable,
    UnknownScreen,
)
from core.jobs.failures import ExitReason, FailureCode
from tests.support.clock import ManualClock

pytestmark = pytest.mark.unit


class Screens:
    """A room that shows one view after the other, a second each, the last ones in turn for ever."""

    def __init__(self, clock: ManualClock, first: Sequence[View], then: Sequence[View]) -> None:
        self.asked = 0
        self.looks = 0
        self._clock = clock
        self._views = chain(first, cycle(then))

    async def open(self) -> None: ...

    async def ask_to_join(self, _entry: Entry) -> None:
        self.asked += 1

    async def look(self) -> Sight:
        self.looks += 1
        self._clock.advance(1)
        return Sight(next(self._views))


async def enter(
    monkeypatch: pytest.MonkeyPatch, first: Sequence[View], then: Sequence[View]
) -> Screens:
    monkeypatch.setattr(joining, "LOOK_SECONDS", 0.0)
    clock = ManualClock()
    room = Screens(clock, first, then)

    async def in_lobby() -> None: ...

    limits = JoinLimits(step_seconds=10, entry_delay_seconds=100)
    joiner = Joiner(limits, Entry("meetbot"), clock, asyncio.Event(), in_lobby)
    try:
        await joiner.enter(cast(Room, room))
    finally:
        assert room.looks < 150
    return room


async def test_a_page_that_stays_at_one_screen_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownScreen, match="stayed at loading for 10 s"):
        await enter(monkeypatch, (), (View.LOADING,))


async def test_a_page_that_goes_round_in_circles_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each screen is new; every loop has a bound."""
    with pytest.raises(UnknownScreen, match="from screen to screen for 40 s"):
        await enter(monkeypatch, (View.PREJOIN,), (View.JOINING, View.PREJOIN, View.LOADING))


async def test_a_long_wait_in_the_lobby_is_no_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    """LC-26: the lobby has a clock of its own."""
    wait = (View.PREJOIN, *(View.LOBBY,) * 90, View.LOADING, View.LOADING)
    room = await enter(monkeypatch, wait, (View.IN_ROOM,))
    assert room.asked == 1


async def test_a_lobby_that_comes_and_goes_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LobbyTimeout):
        await enter(monkeypatch, (), (View.LOBBY, View.LOADING))


@pytest.mark.parametrize(
    ("failure", "reason", "code"),
    [
        (None, ExitReason.CALL_ENDED, None),
        (MeetingEnded("over"), ExitReason.CALL_ENDED, None),
        (MeetingNotFound("gone"), ExitReason.CALL_ENDED, None),
        (RemovedFromMeeting("out"), ExitReason.KICKED, FailureCode.REMOVED_FROM_MEETING),
        (HostDenied("no"), ExitReason.KICKED, FailureCode.REMOVED_FROM_MEETING),
        (RecordingDisabled("no"), ExitReason.ERROR, FailureCode.RECORDING_DISABLED),
        (BotFault("broken"), ExitReason.ERROR, FailureCode.INTERNAL_ERROR),
    ],
)
def test_what_a_page_says_in_the_room_ends_the_stay(
    failure: MeetingError | None, reason: ExitReason, code: FailureCode | None
) -> None:
    """FC-01, LC-17."""
    ending = ending_of(Sight(View.OVER, "words", failure))
    assert ending is not None
    assert ending.exit_reason is reason
    assert (ending.failure.failure if ending.failure else None) is code


@pytest.mark.parametrize(
    "sight",
    [
        Sight(View.IN_ROOM),
        Sight(View.LOBBY),
        Sight(View.LOADING),
        Sight(View.OVER, "lost", NetworkLoss("lost")),
        Sight(View.OVER, "lost", RoomUnreachable("lost")),
        Sight(View.OVER, "a login", AuthFailure("a login")),
        Sight(View.OVER, "no answer", LobbyTimeout("no answer")),
    ],
)
def test_a_page_that_lost_the_room_does_not_end_the_meeting(sight: Sight) -> None:
    """D10: a login in the middle of a call is no end of the call; the bot tries to go back."""
    assert ending_of(sight) is None
