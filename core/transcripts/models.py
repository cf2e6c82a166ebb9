"""What teams have set for transcription, and transcripts that are still to be made."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from core.columns import choice, sealed, timestamp


class TeamTranscription(SQLModel, table=True):
    """Who transcribes a team's recordings when a job does not say (API-61)."""

    __tablename__ = "team_transcription"

    team_id: str = Field(primary_key=True, foreign_key="teams.id")
    mode: str
    provider: str | None = None
    language: str | None = None
    wait: bool = True
    updated_at: datetime = Field(sa_column=timestamp())


class ProviderKey(SQLModel, table=True):
    """A team's own account with a provider. The key is sealed (D21)."""

    __tablename__ = "provider_keys"

    team_id: str = Field(primary_key=True, foreign_key="teams.id")
    provider: str = Field(primary_key=True)
    api_key: str = Field(sa_column=sealed())
    # None: the provider's own address, and its usual model.
    base_url: str | None = None
    model: str | None = None
    updated_at: datetime = Field(sa_column=timestamp())


class RequestStatus(StrEnum):
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


class TranscriptRequest(SQLModel, table=True):
    """A transcript to be made of a delivered recording; one at a time per job.

    `revision` is that of the manifest which names the transcript; it numbers the charge, too.
    """

    __tablename__ = "transcript_requests"
    __table_args__ = (
        Index(
            "uq_transcript_requests_pending",
            "job_id",
            unique=True,
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_transcript_requests_due", "status", "next_attempt_at"),
    )

    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.id", index=True)
    mode: str
    provider: str | None = None
    language: str | None = None
    status: RequestStatus = Field(default=RequestStatus.PENDING, sa_column=choice(RequestStatus))
    attempts: int = 0
    # An attempt is going on, and renews this while it lives: nobody else begins one until then.
    claimed_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    next_attempt_at: datetime = Field(sa_column=timestamp())
    revision: int | None = None
    detail: str = ""
    requested_at: datetime = Field(sa_column=timestamp())
    finished_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
