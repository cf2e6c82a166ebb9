"""What is kept of a live bot besides its job: what it noticed, what it was lent, what it said."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, Identity
from sqlmodel import Field, SQLModel

from core.columns import choice, document, timestamp


class NoticeKind(StrEnum):
    """The names that notices have on the event stream (API-16)."""

    COMMAND = "command"
    CONSENT = "consent"
    COMPETING_BOT = "competing_bot"


class JobNotice(SQLModel, table=True):
    """Something that the job's watchers are told once, in order of `seq`."""

    __tablename__ = "job_notices"

    seq: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    job_id: str = Field(foreign_key="jobs.id", index=True)
    kind: NoticeKind = Field(sa_column=choice(NoticeKind))
    # The attempt that told it, where one did.
    fence: int | None = None
    data: dict[str, Any] = Field(sa_column=document())
    at: datetime = Field(sa_column=timestamp())


class LentMedia(SQLModel, table=True):
    """An object that lies in storage for one command only, and is removed after it."""

    __tablename__ = "job_media"

    key: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.id", index=True)
    # Written before its command, which may never come.
    command_id: str
    created_at: datetime = Field(sa_column=timestamp())


class IngestedMessage(SQLModel, table=True):
    """A message of a bot that was taken: the same one again changes nothing (API-76)."""

    __tablename__ = "ingested_messages"

    job_id: str = Field(foreign_key="jobs.id", primary_key=True)
    fence: int = Field(primary_key=True)
    seq: int = Field(primary_key=True, sa_type=BigInteger)
    answer: dict[str, Any] = Field(sa_column=document())
    at: datetime = Field(sa_column=timestamp(index=True))
