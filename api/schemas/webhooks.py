"""What webhooks say, as the OpenAPI document shows it (WH-37).

Bodies are written by `core.webhooks.events`; a test holds the two together.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from api.schemas.wire import MomentOut, Response
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import RecordingState, Status
from core.webhooks.events import EventName


class _Data(Response):
    """What every event says of its job."""

    event: EventName
    job_id: str
    external_id: str
    platform: str
    status: Status
    metadata: dict[str, Any]
    livemode: bool


class StatusChangedData(_Data):
    previous_status: Status
    recording_state: RecordingState


class FinalizedData(_Data):
    """`durationSeconds` are the recorded ones, which are billed."""

    manifest_uri: str
    duration_seconds: int
    billed: bool
    hours_billed: float = Field(alias="hours_billed")
    amount_usd: float = Field(alias="amount_usd")
    exit_reason: ExitReason


class _FailedData(_Data):
    billed: bool
    manifest_uri: str | None
    duration_seconds: int
    exit_reason: ExitReason
    adapter_error: str | None


class FailedDataV1(_FailedData):
    """Older than the failure codes: what went wrong is a sentence."""

    failure_reason: str = Field(alias="failure_reason")
    error: str


class FailedData(FailedDataV1):
    """`failure_reason` and `error` mirror `failure_detail`; an operator may switch them off."""

    failure_code: FailureCode = Field(alias="failure_code")
    failure_code_mirror: FailureCode = Field(alias="failureCode")
    failure_detail: str = Field(alias="failure_detail")
    failure_reason: str = Field(alias="failure_reason", default="")
    error: str = ""


class PermissionResponseData(_Data):
    """Who answered; `participantId` is null for somebody whom the bot could not tell apart."""

    granted: bool
    participant_id: str | None
    display_name: str


class CompetingBotData(_Data):
    left_meeting: bool
    bot_name: str
    participant_id: str
    display_name: str


class _Envelope(Response):
    """`id` mirrors `deliveryId`, `type` is the event's older name. `attempt` counts from 1."""

    delivery_id: str
    id: str
    event: EventName
    type: str
    emitted_at: MomentOut
    attempt: int
    resend_of: str | None


class StatusChanged(_Envelope):
    version: Literal[2]
    data: StatusChangedData


class Finalized(_Envelope):
    version: Literal[2]
    data: FinalizedData


class Failed(_Envelope):
    version: Literal[2]
    data: FailedData


class PermissionResponse(_Envelope):
    version: Literal[2]
    data: PermissionResponseData


class CompetingBot(_Envelope):
    version: Literal[2]
    data: CompetingBotData


class StatusChangedV1(_Envelope):
    data: StatusChangedData


class FinalizedV1(_Envelope):
    data: FinalizedData


class FailedV1(_Envelope):
    data: FailedDataV1


class PermissionResponseV1(_Envelope):
    data: PermissionResponseData


class CompetingBotV1(_Envelope):
    data: CompetingBotData


# Of each event: when it is sent, and its body in versions 2 and 1.
WEBHOOKS: Final[dict[EventName, tuple[str, type[_Envelope], type[_Envelope]]]] = {
    EventName.STATUS_CHANGED: ("The job has another status.", StatusChanged, StatusChangedV1),
    EventName.FINALIZED: ("The recording is in the bucket; once.", Finalized, FinalizedV1),
    EventName.FAILED: ("The job failed; once.", Failed, FailedV1),
    EventName.PERMISSION_RESPONSE: (
        "The host answered the request for permission to record.",
        PermissionResponse,
        PermissionResponseV1,
    ),
    EventName.COMPETING_BOT: (
        "Another company's notetaker is in the meeting.",
        CompetingBot,
        CompetingBotV1,
    ),
}
