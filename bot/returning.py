"""Back into a room that the bot fell out of (design.md D10): bounded, and honest about its end."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.endings import Ending, Lost
from core.clock import Clock
from core.errors import (
    BotFault,
    HostDenied,
    LobbyTimeout,
    MeetingEnded,
    MeetingError,
    MeetingNotFound,
    NetworkLoss,
    RemovedFromMeeting,
    RoomUnreachable,
    WaitingForHost,
)
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import IN_CALL, RecordingState, Status
from core.recordings.recording import Participant

log = logging.getLogger(__name__)

# How long a host may take to let a bot in again that had been in the room.
READMISSION_SECONDS: Final = 300.0
LONGEST_PAUSE_SECONDS: Final = 8.0
# A page that keeps dying is given up: so many returns in so long a time.
MOST_RETURNS: Final = 6
RETURNS_WITHIN_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Past:
    """What earlier attempts at the job have left: where it stands, and whom they met.

    `began_at` is the start of the recording, `recorded_seconds` what it holds already, and
    `recording_state` how it was left: a bot that comes back goes on as it was told.
    """

    status: Status = Status.QUEUED
    recording_state: RecordingState = RecordingState.NOT_STARTED
    participants: tuple[Participant, ...] = ()
    began_at: datetime | None = None
    recorded_seconds: float = 0.0

    @property
    def in_call(self) -> bool:
        """The bot was in the room: it goes back there instead of arriving."""
        return self.status in IN_CALL


@dataclass(frozen=True)
class ReturnLimits:
    """Attempts and seconds for what may be our own fault; seconds for a lost network (FC-09)."""

    network_seconds: float
    attempts: int = 4
    seconds: float = 150.0


def judge(error: MeetingError, attempt: int, away: float, limits: ReturnLimits) -> Ending | None:
    """How the stay ends after a failed attempt to return; None when another one is worth it.

    Args:
        attempt: how many have failed, this one included.
        away: seconds since the bot fell out of the room.
    """
    match error:
        case MeetingEnded() | MeetingNotFound():
            return Ending(ExitReason.CALL_ENDED, None, cancelled=False)
        case HostDenied(message=message):
            failure = RemovedFromMeeting(f"The bot was not let in again: {message}")
            return Ending(ExitReason.KICKED, failure, cancelled=False)
        case RemovedFromMeeting():
            return Ending(ExitReason.KICKED, error, cancelled=False)
        case LobbyTimeout(message=message) | WaitingForHost(message=message):
            lost = NetworkLoss(f"The bot fell out of the room and was not let in: {message}")
            return Ending(ExitReason.NETWORK_LOSS, lost, cancelled=False)
        case RoomUnreachable(message=message) | NetworkLoss(message=message):
            if away < limits.network_seconds:
                return None
            lost = NetworkLoss(f"The room was lost for {limits.network_seconds:g} s: {message}")
            return Ending(ExitReason.NETWORK_LOSS, lost, cancelled=False)
        case _ if error.retryable and attempt < limits.attempts and away < limits.seconds:
            return None
        case _:
            return Ending(ExitReason.ERROR, error, cancelled=False)


class Returner:
    """Brings the bot back. `enter` is one attempt; it raises MeetingError."""

    def __init__(
        self, enter: Callable[[], Awaitable[None]], limits: ReturnLimits, clock: Clock
    ) -> None:
        self._enter = enter
        self._limits = limits
        self._clock = clock
        self._lately: deque[float] = deque()

    async def come_back(self, lost: Lost) -> Ending | None:
        """Try until the bot is in the room (None), or the stay is over."""
        worn_out = self._worn_out(lost)
        if worn_out is not None:
            return worn_out
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._enter()
            except MeetingError as error:
                away = self._clock.monotonic() - lost.since
                log.warning("Return %d failed after %.0f s: %s", attempt, away, error.message)
                ending = judge(error, attempt, away, self._limits)
                if ending is not None:
                    return ending
            else:
                return None
            await self._clock.sleep(min(2.0 ** (attempt - 1), LONGEST_PAUSE_SECONDS))

    def _worn_out(self, lost: Lost) -> Ending | None:
        now = self._clock.monotonic()
        while self._lately and now - self._lately[0] > RETURNS_WITHIN_SECONDS:
            self._lately.popleft()
        self._lately.append(now)
        if len(self._lately) <= MOST_RETURNS:
            return None
        often = f"{len(self._lately)} times within {RETURNS_WITHIN_SECONDS / 60:g} minutes"
        words = f"The bot fell out of the room {often}, at last because {lost.reason}."
        if lost.answers:
            # The page is well; it is the way to the meeting that does not hold.
            return Ending(ExitReason.NETWORK_LOSS, NetworkLoss(words), cancelled=False)
        return Ending(ExitReason.ERROR, BotFault(words), cancelled=False)
