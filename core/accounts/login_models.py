"""Logins on their way: a link that was mailed, a command line that waits for its person."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel

from core.columns import choice, timestamp


class MagicLink(SQLModel, table=True):
    """A link that logs in whoever reads the mail of `email`, once (AU-15)."""

    __tablename__ = "magic_links"

    token_hash: str = Field(primary_key=True)
    email: str
    # A path of ours, where the browser goes then.
    landing: str
    expires_at: datetime = Field(sa_column=timestamp(index=True))
    used_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class CliStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    # The command line was told.
    DONE = "done"


class CliLogin(SQLModel, table=True):
    """A command line that asked for a key (AU-11). What it says of itself is a claim."""

    __tablename__ = "cli_logins"

    nonce_hash: str = Field(primary_key=True)
    client_name: str
    hostname: str
    status: CliStatus = Field(default=CliStatus.PENDING, sa_column=choice(CliStatus))
    team_id: str | None = Field(default=None, foreign_key="teams.id")
    user_id: str | None = Field(default=None, foreign_key="users.id")
    expires_at: datetime = Field(sa_column=timestamp(index=True))
