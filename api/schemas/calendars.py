"""Connected calendars: how they are connected, and what is shown of them (API-37 to 42)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from api.schemas.wire import MomentOut, Printable, Request, Response
from core.calendars.events import Facts
from core.calendars.models import CalendarConnection, CalendarEvent, CalendarService
from core.calendars.rules import RuleAction, Why

ProviderIn = Literal["google", "microsoft", "outlook"]
AnyProviderIn = Literal["google", "microsoft", "outlook", "ics"]
CalendarId = Annotated[Printable, Field(min_length=1, max_length=1024)]
ConnectionId = Annotated[str, Field(max_length=64, description="`cal_…`, to connect it again.")]
Token = Annotated[SecretStr, Field(min_length=1, max_length=8192)]


def provider_named(name: AnyProviderIn) -> CalendarService:
    """`outlook` is another name of Microsoft."""
    return CalendarService.MICROSOFT if name == "outlook" else CalendarService(name)


class CalendarConnectIn(Request):
    """Whose calendar is to be connected, and where the browser goes afterwards."""

    provider: ProviderIn
    calendar_id: CalendarId = "primary"
    connection_id: ConnectionId | None = None
    return_to: Annotated[
        str | None, Field(max_length=500, description="A path of ours to go to afterwards.")
    ] = None


class CalendarConnectOut(Response):
    """Send the person to `authorizeUrl`. It works once, until `expiresAt`."""

    connection_id: str
    authorize_url: str
    expires_at: MomentOut


class CalendarGrantIn(Request):
    """A grant that you have already: a refresh token, or the address of a feed (`ics`).

    `clientId` and `clientSecret` are of the OAuth client that the token was given to, where that is
    your own. Nobody is shown any of it again.
    """

    provider: AnyProviderIn
    refresh_token: Token | None = None
    client_id: Annotated[Printable | None, Field(max_length=512)] = None
    client_secret: Token | None = None
    url: Annotated[SecretStr, Field(min_length=1, max_length=2048)] | None = None
    account: Annotated[
        Printable | None,
        Field(max_length=320, description="Of a feed: the address of the person it is of."),
    ] = None
    calendar_id: CalendarId = "primary"
    connection_id: ConnectionId | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.provider == "ics") != (self.url is not None):
            raise ValueError("url goes with provider ics, and only with it.")
        if (self.provider == "ics") == (self.refresh_token is not None):
            raise ValueError("refreshToken goes with every provider but ics.")
        if (self.client_id is None) != (self.client_secret is None):
            raise ValueError("clientId and clientSecret go together.")
        return self


class CalendarConnectionOut(Response):
    """`problem` says what is wrong; with the status `error` it has to be connected again."""

    id: str
    provider: CalendarService
    account: str | None
    calendar_id: str
    status: Literal["active", "error"]
    problem: str | None
    synced_at: MomentOut | None
    livemode: bool
    created_at: MomentOut

    @classmethod
    def of(cls, row: CalendarConnection) -> Self:
        return cls(
            id=row.id,
            provider=row.provider,
            account=row.account,
            calendar_id=row.calendar_id,
            status="active" if row.state == "active" else "error",
            problem=row.problem,
            synced_at=row.synced_at,
            livemode=row.livemode,
            created_at=row.created_at,
        )


class CalendarConnectionsPage(Response):
    data: list[CalendarConnectionOut]
    next_cursor: str | None


class CalendarSyncOut(Response):
    """The sync begins within seconds."""

    connection_id: str
    requested_at: MomentOut


class CalendarEventOut(Response):
    """An occurrence near today. `reason` says why it was decided so, `ruleId` by which rule."""

    id: str
    connection_id: str
    title: str
    starts_at: MomentOut
    ends_at: MomentOut
    organizer: str | None
    attendees: list[str]
    meeting_url: str | None
    decision: RuleAction
    reason: Why
    rule_id: str | None
    job_id: str | None
    livemode: bool

    @classmethod
    def of(cls, row: CalendarEvent, facts: Facts) -> Self:
        return cls(
            id=row.id,
            connection_id=row.connection_id,
            title=facts.title,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            organizer=facts.organizer,
            attendees=list(facts.people),
            meeting_url=facts.url,
            decision=row.action,
            reason=row.why,
            rule_id=row.rule_id,
            job_id=None if row.cancelled else row.job_id,
            livemode=row.livemode,
        )


class CalendarEventsPage(Response):
    data: list[CalendarEventOut]
    next_cursor: str | None


class GraphNotice(Request):
    """One change, as Microsoft tells it, with the word that proves it."""

    client_state: Annotated[str | None, Field(max_length=255)] = None


class GraphNotices(Request):
    value: Annotated[list[GraphNotice], Field(max_length=1000, default_factory=list)]
