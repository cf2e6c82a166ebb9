"""The life of a job: statuses, events and the one table of allowed moves (LC-01, LC-02).

Terminal statuses have no row, so nothing leaves them. `core.jobs.service` is the only writer.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from core.errors import InvalidState


class Status(StrEnum):
    QUEUED = "queued"
    JOINING = "joining"
    ENTERING_LOBBY = "entering_lobby"
    IN_MEETING = "in_meeting"
    RECORDING = "recording"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


class Event(StrEnum):
    """What happened to the job; the table says which status follows."""

    BOT_STARTED = "bot_started"
    LOBBY_SHOWN = "lobby_shown"
    RETRYING = "retrying"
    ADMITTED = "admitted"
    MEDIA_CAPTURED = "media_captured"
    RECORDING_PAUSED = "recording_paused"
    RECORDING_RESUMED = "recording_resumed"
    RECORDING_STOPPED = "recording_stopped"
    LEFT = "left"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RecordingState(StrEnum):
    """Whether media is being written; separate from the status (LC-05)."""

    NOT_STARTED = "not_started"
    RECORDING = "recording"
    PAUSED = "paused"
    STOPPED = "stopped"


TERMINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
BEFORE_ROOM: Final = frozenset({Status.QUEUED, Status.JOINING, Status.ENTERING_LOBBY})
IN_CALL: Final = frozenset({Status.IN_MEETING, Status.RECORDING})

MOVES: Final[dict[tuple[Status, Event], Status]] = {
    (Status.QUEUED, Event.BOT_STARTED): Status.JOINING,
    (Status.QUEUED, Event.FAILED): Status.FAILED,
    (Status.QUEUED, Event.CANCELLED): Status.CANCELLED,
    (Status.JOINING, Event.LOBBY_SHOWN): Status.ENTERING_LOBBY,
    (Status.JOINING, Event.ADMITTED): Status.IN_MEETING,
    (Status.JOINING, Event.FAILED): Status.FAILED,
    (Status.JOINING, Event.CANCELLED): Status.CANCELLED,
    (Status.ENTERING_LOBBY, Event.ADMITTED): Status.IN_MEETING,
    (Status.ENTERING_LOBBY, Event.RETRYING): Status.JOINING,
    (Status.ENTERING_LOBBY, Event.FAILED): Status.FAILED,
    (Status.ENTERING_LOBBY, Event.CANCELLED): Status.CANCELLED,
    (Status.IN_MEETING, Event.MEDIA_CAPTURED): Status.RECORDING,
    (Status.IN_MEETING, Event.LEFT): Status.FINALIZING,
    (Status.IN_MEETING, Event.FAILED): Status.FAILED,
    (Status.IN_MEETING, Event.CANCELLED): Status.CANCELLED,
    # A paused recording is one that goes on (LC-05).
    (Status.RECORDING, Event.RECORDING_PAUSED): Status.RECORDING,
    (Status.RECORDING, Event.RECORDING_RESUMED): Status.RECORDING,
    (Status.RECORDING, Event.RECORDING_STOPPED): Status.IN_MEETING,
    (Status.RECORDING, Event.LEFT): Status.FINALIZING,
    (Status.RECORDING, Event.FAILED): Status.FAILED,
    (Status.FINALIZING, Event.COMPLETED): Status.COMPLETED,
    (Status.FINALIZING, Event.FAILED): Status.FAILED,
    (Status.FINALIZING, Event.CANCELLED): Status.CANCELLED,
}


def advance(status: Status, event: Event) -> Status:
    """The status that `event` leads to.

    Raises:
        InvalidState: the table has no such move.
    """
    try:
        return MOVES[status, event]
    except KeyError:
        raise InvalidState(f"A job that is {status} cannot take the event {event}.") from None
