"""Every error the product raises on purpose.

    MeetbotError                    code       retryable  blame
    ├── BadInput                    invalid_input         customer
    ├── Unauthorized                unauthorized          customer
    ├── Forbidden                   forbidden             customer
    ├── NotFound                    not_found             customer
    │   └── TranscriptNotEnabled    transcript_not_enabled
    ├── Expired                     expired               customer
    ├── PaymentRequired             credit_exhausted      customer
    ├── TooLarge                    too_large             customer
    ├── RateLimited                 rate_limited          customer
    ├── InvalidState                invalid_state         customer
    │   ├── JobHeld
    │   ├── TranscriptPending       transcript_pending
    │   └── UnsupportedOnPlatform   unsupported_on_platform
    ├── IdempotencyMismatch         idempotency_mismatch  customer
    ├── Unavailable                 unavailable     yes   us
    ├── StorageError                storage_error   yes   customer
    │   ├── ObjectMissing                           no
    │   └── StorageRefused                          no
    ├── PaymentServiceError         payment_service_error  yes  us
    │   └── PaymentServiceRefused                   no
    ├── StaleAttempt                stale_attempt         us
    ├── JobCancelled                cancelled             customer
    ├── TranscriptionError          transcription_failed  us
    │   ├── ModelMissing            model_missing         us
    │   └── ProviderFailed          provider_failed       customer
    │       └── ProviderAway                    yes       platform
    └── MeetingError                a FailureCode: the meeting could not be joined or went wrong
        ├── DispatchTimeout, QuotaExceeded
        ├── MeetingNotFound, MeetingEnded, HostDenied, LobbyTimeout, WaitingForHost
        │   └── RoomLocked (HostDenied)         yes   platform
        ├── AuthFailure, RecordingDisabled
        ├── RoomUnreachable         network_loss    yes   platform
        ├── RemovedFromMeeting, NetworkLoss
        └── BotFault                internal_error        us
            ├── BrowserFailed                       yes   us
            └── UnknownScreen                       yes   us

`code` goes on the wire, `retryable` is read by the Prefect tasks, `blame` by alerts and texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from core.jobs.failures import FailureCode

Blame = Literal["us", "customer", "platform"]


class MeetbotError(Exception):
    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    blame: ClassVar[Blame] = "us"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class Issue:
    """One thing wrong with the input: where, a machine code, and what to do about it."""

    path: tuple[str | int, ...]
    code: str
    message: str


class BadInput(MeetbotError):
    code = "invalid_input"
    blame = "customer"

    def __init__(self, message: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(message)
        self.issues = tuple(issues)


class Unauthorized(MeetbotError):
    code = "unauthorized"
    blame = "customer"


class Forbidden(MeetbotError):
    """The browser's request does not prove that its user meant it (AU-13)."""

    code = "forbidden"
    blame = "customer"


class NotFound(MeetbotError):
    code = "not_found"
    blame = "customer"


class TranscriptNotEnabled(NotFound):
    """The job asked for no transcript (API-74)."""

    code = "transcript_not_enabled"


class Expired(MeetbotError):
    """What was presented was good once: it was used, or its time is over."""

    code = "expired"
    blame = "customer"


class PaymentRequired(MeetbotError):
    code = "credit_exhausted"
    blame = "customer"


class TooLarge(MeetbotError):
    code = "too_large"
    blame = "customer"


class RateLimited(MeetbotError):
    code = "rate_limited"
    blame = "customer"

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class InvalidState(MeetbotError):
    code = "invalid_state"
    blame = "customer"


class JobHeld(InvalidState):
    """Another attempt holds the job's lease."""


class TranscriptPending(InvalidState):
    """A transcript is still being made (API-15)."""

    code = "transcript_pending"


class UnsupportedOnPlatform(InvalidState):
    """The meeting platform has no such thing (API-12, API-71)."""

    code = "unsupported_on_platform"


class IdempotencyMismatch(MeetbotError):
    code = "idempotency_mismatch"
    blame = "customer"


class Unavailable(MeetbotError):
    code = "unavailable"
    retryable = True


class StorageError(MeetbotError):
    """The bucket could not be reached or answered an error that may pass."""

    code = "storage_error"
    retryable = True
    blame = "customer"


class ObjectMissing(StorageError):
    retryable = False


class StorageRefused(StorageError):
    """The bucket said no (credentials, policy, no such bucket): retrying does not help."""

    retryable = False


class PaymentServiceError(MeetbotError):
    """Stripe could not be reached, or answered an error that may pass.

    `outcome_unknown`: it may have done what it was asked all the same.
    """

    code = "payment_service_error"
    retryable = True

    def __init__(self, message: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class PaymentServiceRefused(PaymentServiceError):
    """Stripe said no: the request, or our key, is not good."""

    retryable = False


class StaleAttempt(MeetbotError):
    """A newer attempt holds the job; the writer must stop (design.md D10)."""

    code = "stale_attempt"


class JobCancelled(MeetbotError):
    """The customer withdrew the job before the bot was in the room; not a failure (LC-12)."""

    code = "cancelled"
    blame = "customer"


class TranscriptionError(MeetbotError):
    code = "transcription_failed"


class ModelMissing(TranscriptionError):
    code = "model_missing"


class ProviderFailed(TranscriptionError):
    """The customer's provider of transcripts refused: trying again does not help."""

    code = "provider_failed"
    blame: ClassVar[Blame] = "customer"


class ProviderAway(ProviderFailed):
    """The provider could not be reached, or its answer says that it may pass."""

    retryable = True
    blame = "platform"


class MeetingError(MeetbotError):
    """The meeting could not be joined, or ended in a failure.

    The message becomes `failure_detail`: it names the evidence (FC-02). `adapter_error` is the
    platform's own name for it, where one is promised (CON-20).
    """

    failure: ClassVar[FailureCode] = FailureCode.INTERNAL_ERROR
    blame: ClassVar[Blame] = "platform"

    def __init__(self, message: str, adapter_error: str | None = None) -> None:
        super().__init__(message)
        self.adapter_error = adapter_error


class DispatchTimeout(MeetingError):
    failure = FailureCode.DISPATCH_TIMEOUT
    blame = "us"


class QuotaExceeded(MeetingError):
    failure = FailureCode.QUOTA_EXCEEDED
    blame = "customer"


class MeetingNotFound(MeetingError):
    failure = FailureCode.MEETING_NOT_FOUND
    blame = "customer"


class MeetingEnded(MeetingError):
    failure = FailureCode.MEETING_ENDED


class HostDenied(MeetingError):
    failure = FailureCode.HOST_DENIED_ADMISSION


class RoomLocked(HostDenied):
    """Nobody may come in now; somebody may open the room while the job's attempts last (PL-62)."""

    retryable = True


class LobbyTimeout(MeetingError):
    failure = FailureCode.LOBBY_TIMEOUT


class WaitingForHost(MeetingError):
    failure = FailureCode.WAITING_FOR_HOST


class AuthFailure(MeetingError):
    failure = FailureCode.AUTH_FAILURE
    blame = "customer"


# What `adapter_error` says of it.
SIGNED_OUT: Final = "signed_out"


class SignedOut(AuthFailure):
    """The account that the bot was lent is not known to the page any more (PL-24)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, SIGNED_OUT)


class RecordingDisabled(MeetingError):
    failure = FailureCode.RECORDING_DISABLED


class RoomUnreachable(MeetingError):
    """The meeting's server did not answer before the bot was in the room."""

    failure = FailureCode.NETWORK_LOSS
    retryable = True


class RemovedFromMeeting(MeetingError):
    failure = FailureCode.REMOVED_FROM_MEETING


class NetworkLoss(MeetingError):
    failure = FailureCode.NETWORK_LOSS


class BotFault(MeetingError):
    failure = FailureCode.INTERNAL_ERROR
    blame = "us"


class BrowserFailed(BotFault):
    """Chromium did not start, or died before the meeting was joined."""

    retryable = True


class UnknownScreen(BotFault):
    """The page showed nothing the driver knows within its time."""

    retryable = True
