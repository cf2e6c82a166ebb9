"""Jobs as they go out (API-65, API-67)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field

from api.schemas.wire import MomentOut, Response, Thousandths
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import RecordingState, Status
from core.jobs.models import Job, JobCommand, Source
from core.jobs.service import LiveProgress
from core.jobs.spec import VideoChoice
from core.jobs.verbs import Verb
from core.recordings.evidence import EvidenceFile
from core.webhooks.events import EventName


class AutoLeaveOut(Response):
    after_entry_delay_seconds: int
    after_max_seconds: int
    after_silence_seconds: int | None
    after_solo_seconds: int | None
    on_bot_detected: bool


class WebhooksOut(Response):
    on_finalize: str
    version: Literal[1, 2]
    events: list[EventName] | None


class JobRecordingOut(Response):
    video: VideoChoice
    fps: int


class TranscriptionOut(Response):
    mode: Literal["off", "byok", "addon"]
    provider: str | None
    language: str | None
    wait: bool


class EvidenceOut(Response):
    """An object that shows why a bot was kept out or thrown out; it lies with the recording.

    `name` says when: `join-<attempt>-<screen>` at the door, `stay-…` in the room.
    """

    name: str
    mime_type: str
    bytes: int
    uri: str


class JobOut(Response):
    """A job. `url`, `failureCode` and `failure_reason` mirror the field before them.

    `attempt` counts the bot processes that were started for it; `progress` is what the bot said
    last while it recorded. `evidence` names what its page showed when something was wrong;
    `/evidence` has links to it.
    """

    id: str
    external_id: str
    source: Source
    platform: str
    meeting_url: str
    url: str
    status: Status
    recording_state: RecordingState
    display_name: str
    join_at: MomentOut | None
    leave_behavior: str | None
    auto_leave: AutoLeaveOut
    recording: JobRecordingOut
    transcription: TranscriptionOut
    webhooks: WebhooksOut | None
    metadata: dict[str, Any]
    manifest_uri: str | None
    started_at: MomentOut | None
    ended_at: MomentOut | None
    duration_seconds: int | None
    exit_reason: ExitReason | None
    billed: bool | None
    hours_billed: Thousandths | None
    amount_usd: Thousandths | None
    failure_code: FailureCode | None = Field(alias="failure_code")
    failure_code_mirror: FailureCode | None = Field(alias="failureCode")
    failure_detail: str | None = Field(alias="failure_detail")
    failure_reason: str | None = Field(alias="failure_reason")
    adapter_error: str | None
    evidence: list[EvidenceOut]
    attempt: int
    progress: LiveProgress | None
    region: str
    livemode: bool
    created_at: MomentOut
    updated_at: MomentOut

    @classmethod
    def of(cls, job: Job) -> Self:
        """The public view of a row; a column is never public by accident."""
        return cls.of_columns(vars(job))

    @classmethod
    def of_columns(cls, columns: Mapping[str, Any]) -> Self:
        """The same of what `COLUMNS` names."""
        return cls.model_validate(
            {
                **{name: columns[name] for name in _SAME},
                "url": columns["meeting_url"],
                "metadata": columns["labels"],
                "failureCode": columns["failure_code"],
                "failure_reason": columns["failure_detail"],
                "attempt": max(1, columns["fence"]),
                "evidence": _evidence(columns["evidence"]),
            }
        )


# Fields that are columns of the same name.
_SAME = tuple(
    name
    for name in JobOut.model_fields
    if name
    not in {"url", "metadata", "failure_code_mirror", "failure_reason", "attempt", "evidence"}
)
# What a `JobOut` is made of, for queries that read no more.
COLUMNS: Final = (*_SAME, "labels", "fence", "evidence")


def _evidence(column: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Of the column, what is told."""
    return [
        EvidenceFile.model_validate(file).model_dump(exclude={"sha256"}) for file in column or ()
    ]


class EvidenceLink(EvidenceOut):
    """With a link to it, good for a plain GET until `urlExpiresAt`."""

    url: str
    url_expires_at: MomentOut


class JobEvidence(Response):
    """All evidence of a job, in order of name."""

    data: list[EvidenceLink]


class JobsPage(Response):
    """A page of jobs, newest first; `nextCursor` is null on the last one (CV-13)."""

    data: list[JobOut]
    next_cursor: str | None


class VerbResult(Response):
    """The bot is told; what comes of it shows in the job (API-67)."""

    job_id: str
    verb: Verb
    accepted: Literal[True] = True
    command_id: str
    issued_at: MomentOut

    @classmethod
    def of(cls, command: JobCommand, verb: Verb) -> Self:
        return cls(
            job_id=command.job_id,
            verb=verb,
            command_id=command.id,
            issued_at=command.issued_at,
        )


class StatusEvent(Response):
    """One move of a job on the event stream (API-16)."""

    job_id: str
    previous_status: Status
    status: Status
    recording_state: RecordingState
    at: MomentOut
