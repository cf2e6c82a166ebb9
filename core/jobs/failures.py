"""The twelve failure codes and the reasons a meeting ends (FC-01, LC-16)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class FailureCode(StrEnum):
    """Why a job became `failed`; the same twelve everywhere (requirements.md section 4)."""

    WAITING_FOR_HOST = "waiting_for_host"
    MEETING_NOT_FOUND = "meeting_not_found"
    HOST_DENIED_ADMISSION = "host_denied_admission"
    REMOVED_FROM_MEETING = "removed_from_meeting"
    MEETING_ENDED = "meeting_ended"
    INTERNAL_ERROR = "internal_error"
    DISPATCH_TIMEOUT = "dispatch_timeout"
    NETWORK_LOSS = "network_loss"
    RECORDING_DISABLED = "recording_disabled"
    LOBBY_TIMEOUT = "lobby_timeout"
    AUTH_FAILURE = "auth_failure"
    QUOTA_EXCEEDED = "quota_exceeded"


# Codes whose recorded part is billed by the 60-second rule (FC-05); all others never are (FC-06).
BILLED_WHEN_RECORDED: Final = frozenset(
    {FailureCode.REMOVED_FROM_MEETING, FailureCode.NETWORK_LOSS}
)


class ExitReason(StrEnum):
    """How the bot's stay ended; every terminal job has one (LC-16)."""

    ALONE_IN_ROOM = "alone_in_room"
    SILENCE = "silence"
    MAX_DURATION = "max_duration"
    HOST_LEFT = "host_left"
    CALL_ENDED = "call_ended"
    LEAVE_REQUESTED = "leave_requested"
    COMPETING_BOT = "competing_bot"
    CANCELLED = "cancelled"
    ENTRY_DELAY = "entry_delay"
    KICKED = "kicked"
    NETWORK_LOSS = "network_loss"
    ERROR = "error"
