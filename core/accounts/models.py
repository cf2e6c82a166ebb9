"""Teams, their API keys, the people in them, and their logins."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from core.columns import document, sealed, thousandths, timestamp


class Team(SQLModel, table=True):
    """Who jobs belong to. Webhook secrets are sealed (core/secrets.py)."""

    __tablename__ = "teams"

    id: str = Field(primary_key=True)
    name: str
    webhook_secret: str = Field(sa_column=sealed())
    # Valid beside the new one until its time (WH-31).
    previous_webhook_secret: str | None = Field(default=None, sa_column=sealed(nullable=True))
    previous_secret_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    webhook_version: int = 2
    # Where the webhooks of jobs go that name no address, such as those of invites; None: nowhere.
    webhook_url: str | None = None
    # Names of events; None: all.
    webhook_events: list[str] | None = Field(default=None, sa_column=document(nullable=True))
    # An agreed price instead of the list price (BL-26).
    rate_usd_per_hour: Decimal | None = Field(default=None, sa_column=thousandths(nullable=True))
    created_at: datetime = Field(sa_column=timestamp())


class ApiKey(SQLModel, table=True):
    """A key as we keep it: hash and display prefix, never the key (AU-03)."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("ix_api_keys_team_created", "team_id", "created_at"),)

    id: str = Field(primary_key=True)
    team_id: str = Field(foreign_key="teams.id")
    name: str
    livemode: bool
    key_hash: str = Field(unique=True)
    prefix: str
    created_at: datetime = Field(sa_column=timestamp())
    last_used_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class User(SQLModel, table=True):
    """A person: one per e-mail address, whichever way they log in (AU-14)."""

    __tablename__ = "users"

    id: str = Field(primary_key=True)
    # In lower case: that is how it is compared.
    email: str = Field(unique=True)
    name: str | None = None
    created_at: datetime = Field(sa_column=timestamp())


class Membership(SQLModel, table=True):
    """A person's place in a team. There are no roles: members see and do all of it (AU-09)."""

    __tablename__ = "memberships"

    user_id: str = Field(foreign_key="users.id", primary_key=True)
    team_id: str = Field(foreign_key="teams.id", primary_key=True, index=True)
    created_at: datetime = Field(sa_column=timestamp())


class LoginSession(SQLModel, table=True):
    """A browser that is logged in, by the hash of what its cookie holds."""

    __tablename__ = "login_sessions"

    token_hash: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="users.id")
    team_id: str = Field(foreign_key="teams.id")
    created_at: datetime = Field(sa_column=timestamp())
    expires_at: datetime = Field(sa_column=timestamp(index=True))
