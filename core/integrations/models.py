"""The pool of accounts that a team lends to its bots."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from core.columns import choice, sealed, timestamp
from core.integrations.state import Provider


class Integration(SQLModel, table=True):
    """One account. What a browser needs to be signed in with it is sealed (D21)."""

    __tablename__ = "integrations"
    __table_args__ = (Index("ix_integrations_pool", "team_id", "livemode", "provider"),)

    id: str = Field(primary_key=True)
    team_id: str = Field(foreign_key="teams.id")
    livemode: bool
    provider: Provider = Field(sa_column=choice(Provider))
    label: str
    storage_state: str = Field(sa_column=sealed())
    # Why it is revoked: a page did not know it any more. To be connected anew.
    problem: str | None = None
    # When the last of its cookies runs out; None for those of a browser's session.
    expires_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    # The job whose bot has it. It comes back when that job is over, however that happens.
    lent_to: str | None = None
    last_used_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    # When its provider's page was asked last, and until when it is being asked.
    checked_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    held_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    created_at: datetime = Field(sa_column=timestamp())

    def problem_at(self, now: datetime) -> str | None:
        """Why no bot can sign in with it; None when it is good as far as we know."""
        if self.problem is None and self.expires_at is not None and self.expires_at <= now:
            return "All its cookies have run out."
        return self.problem
