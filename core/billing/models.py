"""Usage and credit: what was recorded, what it costs, what pays for it. Rows are never changed."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.columns import choice, thousandths, timestamp


class UsageKind(StrEnum):
    RECORDING = "recording"
    TRANSCRIPTION = "transcription"


class UsageEvent(SQLModel, table=True):
    """One `bot.usage_recorded` (BL-02). The database refuses to change or delete a row.

    Recording has one per job (revision 0); each transcript of ours is one of its own, numbered by
    its revision (design.md D15). `rate_usd_per_hour` is what this event's hours were multiplied
    with; `free_hours` were recorded, and covered by the month's free hours (BL-14).
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        UniqueConstraint("job_id", "kind", "revision"),
        Index("ix_usage_events_team_recorded", "team_id", "recorded_at"),
        Index("ix_usage_events_listing", "team_id", "livemode", "id"),
    )

    id: str = Field(primary_key=True)
    # No foreign key: usage of other regions arrives here, their jobs do not (RG-05, RG-07).
    job_id: str
    team_id: str = Field(foreign_key="teams.id")
    region: str
    kind: UsageKind = Field(default=UsageKind.RECORDING, sa_column=choice(UsageKind))
    revision: int = 0
    seconds: int
    hours_billed: Decimal = Field(sa_column=thousandths())
    amount_usd: Decimal = Field(sa_column=thousandths())
    transcription_hours_billed: Decimal = Field(sa_column=thousandths())
    transcription_amount_usd: Decimal = Field(sa_column=thousandths())
    rate_usd_per_hour: Decimal = Field(sa_column=thousandths())
    free_hours: Decimal = Field(sa_column=thousandths())
    billed: bool
    livemode: bool
    recorded_at: datetime = Field(sa_column=timestamp())


class CreditKind(StrEnum):
    SIGNUP = "signup"
    GRANT = "grant"


class CreditEntry(SQLModel, table=True):
    """Money that a team was given (BL-11, BL-12). The database refuses to change or delete a row.

    What is spent is not written here: it is the sum of the usage events.
    """

    __tablename__ = "credit_entries"
    __table_args__ = (
        Index(
            "uq_credit_entries_signup",
            "team_id",
            unique=True,
            postgresql_where=text("kind = 'signup'"),
        ),
        Index("ix_credit_entries_team_id", "team_id"),
        CheckConstraint("amount_usd > 0", name="positive"),
    )

    id: str = Field(primary_key=True)
    team_id: str = Field(foreign_key="teams.id")
    kind: CreditKind = Field(sa_column=choice(CreditKind))
    amount_usd: Decimal = Field(sa_column=thousandths())
    note: str = ""
    created_at: datetime = Field(sa_column=timestamp())
