"""What is being erased, how far that is, and the receipt that stays (MF-22)."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from core.columns import document, timestamp


class Erasure(SQLModel, table=True):
    """One job whose content goes. A step is null until it is done, and done again after a crash."""

    __tablename__ = "erasures"
    __table_args__ = (
        Index(
            "ix_erasures_due",
            "next_attempt_at",
            postgresql_where=text("completed_at is null"),
        ),
    )

    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    team_id: str = Field(foreign_key="teams.id", index=True)
    livemode: bool
    requested_at: datetime = Field(sa_column=timestamp())
    # The id of a key or of a user, or `operator`.
    requested_by: str
    flow_run_id: str | None = None
    # Rows that were removed, by table; done in the transaction of the request.
    rows: dict[str, Any] = Field(sa_column=document())
    objects: dict[str, Any] | None = Field(default=None, sa_column=document(nullable=True))
    runs: dict[str, Any] | None = Field(default=None, sa_column=document(nullable=True))
    # Machines that looked for local files since, and how many they removed.
    machines: dict[str, Any] = Field(default_factory=dict, sa_column=document())
    attempts: int = 0
    next_attempt_at: datetime = Field(sa_column=timestamp())
    last_error: str | None = None
    completed_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    # The exact text, so that its digest and its signature stay true.
    receipt: str | None = None
