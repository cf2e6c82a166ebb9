"""Coming back into a room: how often, how long, and what the job becomes (D10, FC-05, FC-09)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bot.endings import Ending, Lost
from bot.returning import (
    MOST_RETURNS,
    RETURNS_WITHIN_SECONDS,
    Past,
    Returner,
    ReturnLimits,
    judge,
)
from core.errors import (
    AuthFailure,
    BotFault,
    BrowserFailed,
    HostDenied,
    LobbyTimeout,
    MeetingEnded,
    MeetingError,
    MeetingNotFound,
    NetworkLoss,
    RemovedFromMeeting,
    RoomUnreachable,
    UnknownScreen,
    WaitingForHost,
)
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from tests.support.clock import ManualClock

pytestmark = pytest.mark.unit

LIMITS = ReturnLimits(network_seconds=60, attempts=4, seconds=150)


@pytest.mark.parametrize(
    ("error", "attempt", "away", "reason", "failure"),
    [
        (MeetingEnded("over"), 1, 1, ExitReason.CALL_ENDED, None),
        (MeetingNotFound("gone"), 1, 1, ExitReason.CALL_ENDED, None),
        (HostDenied("no"), 1, 1, ExitReason.KICKED, FailureCode.REMOVED_FROM_MEETING),
        (RemovedFromMeeting("out"), 1, 1, ExitReason.KICKED, FailureCode.REMOVED_FROM_MEETING),
        (LobbyTimeout("waited"), 1, 300, ExitReason.NETWORK_LOSS, FailureCode.NETWORK_LOSS),
        (WaitingForHost("waited"), 1, 300, ExitReason.NETWORK_LOSS, FailureCode.NETWORK_LOSS),
        (RoomUnreachable("away"), 9, 60, ExitReason.NETWORK_LOSS, FailureCode.NETWORK_LOSS),
        (NetworkLoss("away"), 9, 61, ExitReason.NETWORK_LOSS, FailureCode.NETWORK_LOSS),
        (BrowserFailed("died"), 4, 10, ExitReason.ERROR, FailureCode.INTERNAL_ERROR),
        (BrowserFailed("slow"), 2, 150, ExitReason.ERROR, FailureCode.INTERNAL_ERROR),
        (BotFault("broken"), 1, 1, ExitReason.ERROR, FailureCode.INTERNAL_ERROR),
        (AuthFailure("who?"), 1, 1, ExitReason.ERROR, FailureCode.AUTH_FAILURE),
    ],
)
def test_how_a_return_that_fails_ends_the_stay(
    error: MeetingError,
    attempt: int,
    away: float,
    reason: ExitReason,
    failure: FailureCode | None,
) -> None:
    ending = judge(error, attempt, away, LIMITS)
    assert ending is not None
    assert ending.exit_reason is reason
    assert (ending.failure.failure if ending.failure else None) is failure
    assert not ending.cancelled


@pytest.mark.parametrize(
    ("error", "attempt", "away"),
    [
        (RoomUnreachable("away"), 9, 59.9),
        (BrowserFailed("died"), 3, 149),
        (UnknownScreen("odd"), 1, 5),
    ],
)
def test_what_is_worth_another_attempt(error: MeetingError, attempt: int, away: float) -> None:
    assert judge(error, attempt, away, LIMITS) is None


def lost(clock: ManualClock, *, answers: bool = False) -> Lost:
    return Lost("the page crashed", clock.monotonic(), answers)


class Door:
    """Answers attempts with these errors, then lets the bot in."""

    def __init__(self, errors: Sequence[MeetingError]) -> None:
        self._errors = list(errors)
        self.attempts = 0

    async def enter(self) -> None:
        self.attempts += 1
        if self._errors:
            raise self._errors.pop(0)


async def result(clock: ManualClock, task: asyncio.Task[Ending | None]) -> Ending | None:
    for _ in range(1000):
        for _ in range(5):
            await asyncio.sleep(0)
        if task.done():
            return task.result()
        clock.advance(0.5)
    raise AssertionError("the return never ended")


async def come_back(door: Door, limits: ReturnLimits = LIMITS) -> Ending | None:
    clock = ManualClock()
    returner = Returner(door.enter, limits, clock)
    return await result(clock, asyncio.create_task(returner.come_back(lost(clock))))


async def test_the_bot_tries_again_until_it_is_in() -> None:
    door = Door([RoomUnreachable("a"), BrowserFailed("b"), RoomUnreachable("c")])
    assert await come_back(door) is None
    assert door.attempts == 4


async def test_a_server_that_stays_away_is_a_network_loss_after_the_grace_time() -> None:
    """FC-09."""
    door = Door([RoomUnreachable("The server did not answer.")] * 100)
    ending = await come_back(door)
    assert ending is not None
    assert isinstance(ending.failure, NetworkLoss)
    assert "60 s" in ending.failure.message
    assert "did not answer" in ending.failure.message
    assert 5 < door.attempts < 20


async def test_a_browser_that_does_not_start_is_our_fault_after_a_few_attempts() -> None:
    door = Door([BrowserFailed("no")] * 100)
    ending = await come_back(door)
    assert ending is not None
    assert isinstance(ending.failure, BrowserFailed)
    assert door.attempts == LIMITS.attempts


@pytest.mark.parametrize(
    ("answers", "failure"),
    [(False, FailureCode.INTERNAL_ERROR), (True, FailureCode.NETWORK_LOSS)],
    ids=["page", "network"],
)
async def test_a_bot_that_falls_out_again_and_again_gives_up(
    answers: bool, failure: FailureCode
) -> None:
    """Our own page that keeps dying is never billed; a network that does not hold may be."""
    door, clock = Door([]), ManualClock()
    returner = Returner(door.enter, LIMITS, clock)
    for _ in range(MOST_RETURNS):
        assert await returner.come_back(lost(clock, answers=answers)) is None
    ending = await returner.come_back(lost(clock, answers=answers))
    assert ending is not None
    assert ending.failure is not None
    assert ending.failure.failure is failure
    assert "7 times within 10 minutes" in ending.failure.message
    assert "the page crashed" in ending.failure.message
    assert door.attempts == MOST_RETURNS


async def test_returns_long_ago_are_forgotten() -> None:
    door, clock = Door([]), ManualClock()
    returner = Returner(door.enter, LIMITS, clock)
    for _ in range(3 * MOST_RETURNS):
        assert await returner.come_back(lost(clock)) is None
        clock.advance(RETURNS_WITHIN_SECONDS / 4)


@pytest.mark.parametrize("status", Status)
def test_only_a_bot_that_was_in_the_room_goes_back_there(status: Status) -> None:
    assert Past(status).in_call is (status in {Status.IN_MEETING, Status.RECORDING})
