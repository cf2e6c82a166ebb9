"""Usage: what was recorded and what it costs, once per job and add-on."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.columns import choice, thousandths, timestamp


class UsageKind(StrEnum):
    RECORDING = "recording"
    TRANSCRIPTION = "transcription"


class UsageEvent(SQLModel, table=True):
    """One `bot.usage_recorded` (BL-02). Rows are never changed.

    Recording has one per job (revision 0); a transcript made later is one of its own, numbered by
    its revision (design.md D15).
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        UniqueConstraint("job_id", "kind", "revision"),
        Index("ix_usage_events_team_recorded", "team_id", "recorded_at"),
    )

    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.id")
    team_id: str = Field(foreign_key="teams.id")
    kind: UsageKind = Field(default=UsageKind.RECORDING, sa_column=choice(UsageKind))
    revision: int = 0
    seconds: int
    hours_billed: Decimal = Field(sa_column=thousandths())
    amount_usd: Decimal = Field(sa_column=thousandths())
    transcription_hours_billed: Decimal = Field(sa_column=thousandths())
    transcription_amount_usd: Decimal = Field(sa_column=thousandths())
    billed: bool
    livemode: bool
    recorded_at: datetime = Field(sa_column=timestamp())
