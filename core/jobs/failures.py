"""The twelve failure codes and the reasons a meeting ends (FC-01, LC-16)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final


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


class Retry(StrEnum):
    """What a customer does about a code (FC-11): never again, later, once after a while, if they
    like, or when something about their account has changed."""

    NEVER = "never"
    LATER = "later"
    ONCE = "once"
    MAY = "may"
    ACCOUNT = "account"


class Phase(StrEnum):
    """When a code can come."""

    START = "start"
    PRE_JOIN = "pre-join"
    IN_CALL = "in-call"
    ANY = "any"


@dataclass(frozen=True)
class Failure:
    """One row of section 4. `billed`: the recorded part is, by the 60-second rule; a manifest is
    written where media exists."""

    code: FailureCode
    meaning: str
    retry: Retry
    phase: Phase
    billed: bool = False
    manifest: bool = False

    def document(self) -> dict[str, Any]:
        """As `contracts/failure-codes.json` has it."""
        return asdict(self)


FAILURES: Final = (
    Failure(
        FailureCode.WAITING_FOR_HOST,
        "In the waiting room; the host was not there when the time to wait was over.",
        *(Retry.LATER, Phase.PRE_JOIN),
    ),
    Failure(
        FailureCode.MEETING_NOT_FOUND,
        "The link leads to no meeting; it may be mistyped.",
        *(Retry.NEVER, Phase.PRE_JOIN),
    ),
    Failure(
        FailureCode.HOST_DENIED_ADMISSION,
        "The host refused the bot.",
        *(Retry.NEVER, Phase.PRE_JOIN),
    ),
    Failure(
        FailureCode.REMOVED_FROM_MEETING,
        "Removed from the running meeting; what was recorded until then is delivered.",
        *(Retry.NEVER, Phase.IN_CALL),
        billed=True,
        manifest=True,
    ),
    Failure(
        FailureCode.MEETING_ENDED,
        "The meeting was over before the bot could join.",
        *(Retry.NEVER, Phase.PRE_JOIN),
    ),
    Failure(
        FailureCode.INTERNAL_ERROR,
        "A fault on our side; tell us if it comes again.",
        *(Retry.MAY, Phase.ANY),
        manifest=True,
    ),
    Failure(
        FailureCode.DISPATCH_TIMEOUT,
        "The bot's process did not start in time.",
        *(Retry.ONCE, Phase.START),
    ),
    Failure(
        FailureCode.NETWORK_LOSS,
        "The connection was lost in the call and did not come back in time.",
        *(Retry.NEVER, Phase.IN_CALL),
        billed=True,
        manifest=True,
    ),
    Failure(
        FailureCode.RECORDING_DISABLED,
        "The host or their organisation forbids recording.",
        *(Retry.NEVER, Phase.PRE_JOIN),
    ),
    Failure(
        FailureCode.LOBBY_TIMEOUT,
        "Nobody let the bot in from the lobby; on Discord, nobody came.",
        *(Retry.LATER, Phase.PRE_JOIN),
    ),
    Failure(
        FailureCode.AUTH_FAILURE,
        "Credentials are needed, wrong or revoked; connect the integration again.",
        *(Retry.ACCOUNT, Phase.PRE_JOIN),
    ),
    Failure(
        FailureCode.QUOTA_EXCEEDED,
        "No credit is left and no card is on file; add one at /account/billing.",
        *(Retry.ACCOUNT, Phase.START),
    ),
)
# Codes whose recorded part is billed by the 60-second rule (FC-05); all others never are (FC-06).
BILLED_WHEN_RECORDED: Final = frozenset(failure.code for failure in FAILURES if failure.billed)


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
