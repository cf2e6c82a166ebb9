"""The job, its history and its commands. `core.jobs.service` is the only writer of a status."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.columns import choice, document, sealed, thousandths, timestamp
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Event, RecordingState, Status
from core.jobs.verbs import Outcome, Verb


class Source(StrEnum):
    """Where a job came from (LC-19)."""

    API = "api"
    INVITE = "invite"
    CALENDAR = "calendar"


class Job(SQLModel, table=True):
    """One bot for one meeting."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("team_id", "livemode", "external_id"),
        Index("ix_jobs_listing", "team_id", "livemode", text("substr(id, 5)")),
        Index(
            "ix_jobs_filtered", "team_id", "livemode", "status", "platform", text("substr(id, 5)")
        ),
        Index("ix_jobs_live", "status", "lease_until"),
        Index(
            "ix_jobs_recordings",
            "team_id",
            "livemode",
            text("substr(id, 5)"),
            postgresql_where=text("manifest_uri is not null"),
        ),
    )

    # What was asked for.
    id: str = Field(primary_key=True)
    team_id: str = Field(foreign_key="teams.id")
    livemode: bool
    external_id: str
    source: Source = Field(default=Source.API, sa_column=choice(Source))
    platform: str
    meeting_url: str
    display_name: str
    join_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    leave_behavior: str | None = None
    auto_leave: dict[str, Any] = Field(sa_column=document())
    recording: dict[str, Any] = Field(sa_column=document())
    transcription: dict[str, Any] = Field(sa_column=document())
    webhooks: dict[str, Any] | None = Field(default=None, sa_column=document(nullable=True))
    # `metadata` itself is taken by the mapper.
    labels: dict[str, Any] = Field(sa_column=document(name="metadata"))
    # Sealed JSON of what must never be shown: the meeting password, the Discord token (AU-17).
    secrets: str | None = Field(default=None, sa_column=sealed(nullable=True))
    region: str
    # Its team's storage that it began with; None: the operator's (core/storage/team.py).
    storage_id: str | None = Field(default=None, foreign_key="team_storages.id")

    # How it goes.
    status: Status = Field(default=Status.QUEUED, sa_column=choice(Status))
    recording_state: RecordingState = Field(
        default=RecordingState.NOT_STARTED, sa_column=choice(RecordingState)
    )
    progress: dict[str, Any] | None = Field(default=None, sa_column=document(nullable=True))
    cancel_requested_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    # Stamps of this job's webhooks never repeat, so that their order can be told by them (LC-18).
    last_emitted_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))

    # Who works on it (design.md D10): attempts are numbered, one of them holds the lease.
    flow_run_id: str | None = Field(default=None, index=True)
    fence: int = 0
    lease_holder: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    # Whose page is driven, and where; they differ from the above for scripted rooms (D13).
    driver: str
    room_url: str | None = None

    # How it ended.
    started_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    duration_seconds: int | None = None
    exit_reason: ExitReason | None = Field(
        default=None, sa_column=choice(ExitReason, nullable=True)
    )
    failure_code: FailureCode | None = Field(
        default=None, sa_column=choice(FailureCode, nullable=True)
    )
    failure_detail: str | None = None
    adapter_error: str | None = None
    manifest_uri: str | None = None
    # Objects that show why, of `core.recordings.evidence.EvidenceFile`.
    evidence: list[dict[str, Any]] | None = Field(default=None, sa_column=document(nullable=True))
    billed: bool | None = None
    hours_billed: Decimal | None = Field(default=None, sa_column=thousandths(nullable=True))
    amount_usd: Decimal | None = Field(default=None, sa_column=thousandths(nullable=True))

    created_at: datetime = Field(sa_column=timestamp())
    updated_at: datetime = Field(sa_column=timestamp())


class Transition(SQLModel, table=True):
    """One move of a job; the event stream and the tests read them in order of `seq`."""

    __tablename__ = "job_transitions"

    seq: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    job_id: str = Field(foreign_key="jobs.id", index=True)
    event: Event = Field(sa_column=choice(Event))
    previous_status: Status = Field(sa_column=choice(Status))
    status: Status = Field(sa_column=choice(Status))
    recording_state: RecordingState = Field(sa_column=choice(RecordingState))
    at: datetime = Field(sa_column=timestamp())


class JobCommand(SQLModel, table=True):
    """A verb on its way to a live bot (design.md D3)."""

    __tablename__ = "job_commands"
    __table_args__ = (Index("ix_job_commands_open", "job_id", "settled_at"),)

    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.id")
    verb: Verb = Field(sa_column=choice(Verb))
    payload: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    issued_at: datetime = Field(sa_column=timestamp())
    # The attempt that saw it last; a state verb is applied again by the next attempt.
    claimed_fence: int | None = None
    # The attempt that began to do what must not be done twice.
    acting_fence: int | None = None
    settled_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    outcome: Outcome | None = Field(default=None, sa_column=choice(Outcome, nullable=True))
    detail: str = ""
    # What the command brought, for its caller: a screenshot's place, for example.
    result: dict[str, Any] | None = Field(default=None, sa_column=document(nullable=True))
