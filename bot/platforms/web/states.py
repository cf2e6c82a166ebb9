"""What a page of a meeting platform can show, and what that means to a bot."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from bot.platforms.room import View
from core.errors import (
    AuthFailure,
    HostDenied,
    LobbyTimeout,
    MeetingEnded,
    MeetingError,
    MeetingNotFound,
    NetworkLoss,
    RecordingDisabled,
    RemovedFromMeeting,
    WaitingForHost,
)
from core.jobs.failures import FailureCode


class PageState(StrEnum):
    """The classes of screens, the same on every platform. `LOST` is a server that went away."""

    INTERSTITIAL = "interstitial"
    PREJOIN = "prejoin"
    NAME_REQUIRED = "name_required"
    PASSCODE_REQUIRED = "passcode_required"
    JOINING = "joining"
    LOBBY = "lobby"
    WAITING_FOR_HOST = "waiting_for_host"
    ADMITTED = "admitted"
    PASSCODE_WRONG = "passcode_wrong"
    SIGN_IN_REQUIRED = "sign_in_required"
    CAPTCHA = "captcha"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    ENDED = "ended"
    REMOVED = "removed"
    BLOCKED = "blocked"
    LOST = "lost"
    UNKNOWN = "unknown"


# Screens after which there is nothing to wait for, and their codes unless a rule says otherwise.
TERMINAL: Final = {
    PageState.PASSCODE_WRONG: FailureCode.AUTH_FAILURE,
    PageState.SIGN_IN_REQUIRED: FailureCode.AUTH_FAILURE,
    PageState.CAPTCHA: FailureCode.AUTH_FAILURE,
    PageState.DENIED: FailureCode.HOST_DENIED_ADMISSION,
    PageState.NOT_FOUND: FailureCode.MEETING_NOT_FOUND,
    PageState.ENDED: FailureCode.MEETING_ENDED,
    PageState.REMOVED: FailureCode.REMOVED_FROM_MEETING,
    PageState.BLOCKED: FailureCode.AUTH_FAILURE,
    PageState.LOST: FailureCode.NETWORK_LOSS,
}

VIEWS: Final = {
    PageState.INTERSTITIAL: View.LOADING,
    PageState.UNKNOWN: View.LOADING,
    PageState.PREJOIN: View.PREJOIN,
    PageState.NAME_REQUIRED: View.PREJOIN,
    PageState.PASSCODE_REQUIRED: View.PREJOIN,
    PageState.JOINING: View.JOINING,
    PageState.LOBBY: View.LOBBY,
    PageState.WAITING_FOR_HOST: View.LOBBY,
    PageState.ADMITTED: View.IN_ROOM,
} | dict.fromkeys(TERMINAL, View.OVER)

_ERRORS: Final[tuple[type[MeetingError], ...]] = (
    AuthFailure,
    HostDenied,
    LobbyTimeout,
    MeetingEnded,
    MeetingNotFound,
    NetworkLoss,
    RecordingDisabled,
    RemovedFromMeeting,
    WaitingForHost,
)
# What a screen can mean; codes that are ours alone are not among them.
ERRORS: Final = {error.failure: error for error in _ERRORS}
