"""Connected calendars, the rules for their events, and the jobs that came of them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.calendars.rules import Match, RuleAction, RuleTerms, Why
from core.columns import choice, document, sealed, timestamp


class CalendarService(StrEnum):
    """Who has the calendar; `ics` is a feed at an address."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"
    ICS = "ics"


class State(StrEnum):
    ACTIVE = "active"
    # The provider does not let us in any more: somebody has to connect it again.
    ERROR = "error"
    # Its team has removed it; the provider is still to be told, and then it is forgotten.
    DISCONNECTED = "disconnected"


class CalendarConnection(SQLModel, table=True):
    """One calendar of one person, in a team."""

    __tablename__ = "calendar_connections"
    __table_args__ = (
        Index("ix_calendar_connections_of_team", "team_id", "livemode", "id"),
        Index("ix_calendar_connections_due", "next_sync_at"),
    )

    id: str = Field(primary_key=True)
    team_id: str = Field(foreign_key="teams.id")
    livemode: bool
    provider: CalendarService = Field(sa_column=choice(CalendarService))
    # Which of the person's calendars; for a feed nothing.
    calendar_id: str
    # The connected person's address, in lower case; of a feed it may not be known.
    account: str | None = None
    state: State = Field(default=State.ACTIVE, sa_column=choice(State))
    # What is wrong, in words; of an active one it may pass.
    problem: str | None = None
    # Sealed JSON: tokens, or the address of the feed.
    grant: str | None = Field(default=None, sa_column=sealed(nullable=True))
    # Where the next sync goes on; None: from the beginning.
    cursor: str | None = None
    # The span of time that the cursor is of.
    window_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    synced_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    next_sync_at: datetime = Field(sa_column=timestamp())
    # Somebody wants it synced before its time: a person, a rule that changed, the provider.
    asked_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True, index=True))
    # Its events have to be decided anew.
    rules_changed: bool = False
    created_at: datetime = Field(sa_column=timestamp())
    updated_at: datetime = Field(sa_column=timestamp())


class CalendarLogin(SQLModel, table=True):
    """A person on the way to their provider and back (API-37); used once."""

    __tablename__ = "calendar_logins"

    # Of the `state` that travels through the person's browser.
    state_hash: str = Field(primary_key=True)
    connection_id: str
    team_id: str = Field(foreign_key="teams.id")
    livemode: bool
    provider: CalendarService = Field(sa_column=choice(CalendarService))
    calendar_id: str
    # What proves to the provider that it was us who sent the person (PKCE).
    verifier: str = Field(sa_column=sealed())
    landing: str
    expires_at: datetime = Field(sa_column=timestamp(index=True))
    used_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class CalendarChannel(SQLModel, table=True):
    """By which a provider tells us that a calendar has changed."""

    __tablename__ = "calendar_channels"

    id: str = Field(primary_key=True)
    connection_id: str = Field(foreign_key="calendar_connections.id", index=True)
    # The provider's own name for it, to end it by.
    resource_id: str
    # Of the word that the provider has to send with every message.
    token_hash: str
    expires_at: datetime = Field(sa_column=timestamp())


class CalendarRule(SQLModel, table=True):
    """Which events are recorded, of one connection or of all (CAL-15)."""

    __tablename__ = "calendar_rules"
    __table_args__ = (Index("ix_calendar_rules_of_team", "team_id", "livemode", "id"),)

    id: str = Field(primary_key=True)
    team_id: str = Field(foreign_key="teams.id")
    livemode: bool
    connection_id: str | None = Field(
        default=None, foreign_key="calendar_connections.id", index=True
    )
    priority: int
    action: RuleAction = Field(sa_column=choice(RuleAction))
    match: dict[str, Any] = Field(sa_column=document())
    enabled: bool
    # What the jobs of it are like, in the fields of `POST /api/v1/jobs`; checked on the way in.
    bot_defaults: dict[str, Any] | None = Field(default=None, sa_column=document(nullable=True))
    created_at: datetime = Field(sa_column=timestamp())
    updated_at: datetime = Field(sa_column=timestamp())

    @property
    def terms(self) -> RuleTerms:
        return RuleTerms(self.id, self.priority, self.action, Match.model_validate(self.match))


class CalendarEvent(SQLModel, table=True):
    """One occurrence near today, what was decided of it, and its job."""

    __tablename__ = "calendar_events"
    __table_args__ = (
        UniqueConstraint("connection_id", "provider_id"),
        Index("ix_calendar_events_of_team", "team_id", "livemode", "id"),
        Index("ix_calendar_events_starts", "connection_id", "starts_at"),
    )

    id: str = Field(primary_key=True)
    connection_id: str = Field(foreign_key="calendar_connections.id")
    team_id: str = Field(foreign_key="teams.id")
    livemode: bool
    # A hash of the provider's id for this occurrence, which may be of any length.
    provider_id: str
    # `core.calendars.events.Facts`, sealed: who meets about what.
    facts: str = Field(sa_column=sealed())
    starts_at: datetime = Field(sa_column=timestamp())
    ends_at: datetime = Field(sa_column=timestamp())
    action: RuleAction = Field(sa_column=choice(RuleAction))
    why: Why = Field(sa_column=choice(Why))
    # Of the rule that decided; it may be gone by now.
    rule_id: str | None = None
    job_id: str | None = Field(default=None, foreign_key="jobs.id", index=True)
    # The start that the job was made for.
    placed_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    # By its calendar or its rules, so that they may bring it back; a person's own cancel stays.
    cancelled: bool = False
    created_at: datetime = Field(sa_column=timestamp())
    updated_at: datetime = Field(sa_column=timestamp())
