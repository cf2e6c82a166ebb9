"""Connecting calendars, and what providers tell of them (API-37 to API-40)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from pydantic import SecretStr

from api import starting
from api.dependencies import CallerDep, Member, MemberDep, ServicesDep
from api.pages import message
from api.pagination import Cursor, Limit, decode_cursor, encode_cursor
from api.schemas.calendars import (
    CalendarConnectIn,
    CalendarConnectionOut,
    CalendarConnectionsPage,
    CalendarConnectOut,
    CalendarGrantIn,
    CalendarSyncOut,
    GraphNotices,
    provider_named,
)
from api.schemas.errors import ErrorOut
from api.services import Services
from core.accounts.magic_links import own_path
from core.calendars import channels, connections
from core.calendars.base import Source, Window
from core.calendars.connections import NewConnection
from core.calendars.grants import Grant
from core.calendars.models import CalendarConnection, CalendarService
from core.errors import BadInput, Expired, Issue, NotFound
from core.integrations.pool import Owner

Answers = dict[int | str, dict[str, Any]]
NOT_FOUND: Final[Answers] = {404: {"model": ErrorOut}}
DASHBOARD: Final = "/account/calendar"
# A feed is read once before it is taken.
TRIED: Final = timedelta(days=1)
ConnectionId = Annotated[str, Path(alias="id", description="`cal_…`")]

router = APIRouter(
    prefix="/api/v1/calendar",
    tags=["calendar"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 429, 500, 503)},
)
# What browsers and providers call: no key, but a word that only they know.
open_router = APIRouter(
    prefix="/api/v1/calendar",
    tags=["calendar"],
    responses={code: {"model": ErrorOut} for code in (400, 500, 503)},
)


@router.post("/connect", operation_id="connectCalendar", status_code=201, responses=NOT_FOUND)
async def connect(
    body: CalendarConnectIn, member: MemberDep, services: ServicesDep
) -> CalendarConnectOut:
    """Have a person connect their calendar: they give their consent at the provider."""
    provider = provider_named(body.provider)
    oauth = services.calendars.oauth(provider)
    if oauth is None:
        raise BadInput("Feeds need no consent: send their address to /api/v1/calendar/grants.")
    async with services.database.begin() as session:
        begun = await connections.begin(
            session,
            services.box,
            owner_of(member),
            provider,
            connection_id=body.connection_id,
            calendar_id=body.calendar_id,
            landing=own_path(body.return_to) if body.return_to else DASHBOARD,
            now=services.clock.now(),
        )
        url = oauth.consent_url(begun.state, begun.verifier)
    return CalendarConnectOut(
        connection_id=begun.connection_id, authorize_url=url, expires_at=begun.expires_at
    )


@open_router.get(
    "/callback/{provider}",
    operation_id="finishCalendarConnect",
    status_code=302,
    response_class=RedirectResponse,
    responses={
        302: {"description": "The browser goes on to the dashboard."},
        410: {"model": ErrorOut},
    },
)
async def callback(
    provider: CalendarService,
    request: Request,
    services: ServicesDep,
    state: Annotated[str, Query(min_length=1, max_length=200)],
    code: Annotated[str | None, Query(max_length=4096)] = None,
    error: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Where the provider sends the person back to. `state` is good once."""
    try:
        landing, result = await _connected(provider, services, state, code, error)
    except (BadInput, Expired) as problem:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        status = 400 if isinstance(problem, BadInput) else 410
        return message("Connect a calendar", problem.message, status=status)
    separator = "&" if "?" in landing else "?"
    base = services.settings.api.login_url
    return RedirectResponse(f"{base}{landing}{separator}{urlencode(result)}", 302)


async def _connected(
    provider: CalendarService, services: Services, state: str, code: str | None, error: str | None
) -> tuple[str, dict[str, str]]:
    """Where the browser goes on, and what it takes along."""
    oauth, now = services.calendars.oauth(provider), services.clock.now()
    async with services.database.begin() as session:
        login = await connections.use_login(session, provider, state, now=now)
    if oauth is None or code is None:
        return login.landing, {"calendarError": error or "access_denied"}
    verifier = services.box.open(login.verifier).get_secret_value()
    grant = await oauth.exchange(code, verifier, now)
    account = await services.calendars.account(provider, grant.access_token)
    new = NewConnection(
        owner=Owner(login.team_id, login.livemode),
        connection_id=login.connection_id,
        provider=provider,
        calendar_id=login.calendar_id,
        account=account,
        grant=grant,
    )
    row = await _keep(services, new)
    return login.landing, {"calendar": row.id}


@router.post("/grants", operation_id="handOverCalendar", status_code=201, responses=NOT_FOUND)
async def grants(
    body: CalendarGrantIn, caller: CallerDep, services: ServicesDep
) -> CalendarConnectionOut:
    """Connect a calendar by a grant that you have already, or by the address of its feed."""
    provider = provider_named(body.provider)
    owner = Owner(caller.team_id, caller.livemode)
    async with services.database.begin() as session:
        place = await connections.place_for(session, owner, provider, body.connection_id)
    grant, account = await _tried(provider, body, services)
    new = NewConnection(
        owner=owner,
        connection_id=place,
        provider=provider,
        calendar_id=body.calendar_id if provider is not CalendarService.ICS else "",
        account=account,
        grant=grant,
    )
    return CalendarConnectionOut.of(await _keep(services, new))


async def _tried(
    provider: CalendarService, body: CalendarGrantIn, services: Services
) -> tuple[Grant, str | None]:
    """The grant, which opens its calendar, and whose it is."""
    oauth, now = services.calendars.oauth(provider), services.clock.now()
    if oauth is None:
        address = body.url.get_secret_value() if body.url is not None else ""
        if address.lower().startswith("webcal://"):
            address = f"https://{address[9:]}"
        grant = Grant(url=SecretStr(address))
        source = Source("", body.account, SecretStr(address))
        try:
            await services.calendars.calendar(provider).changes(
                source, None, Window(now, now + TRIED)
            )
        except BadInput as error:
            raise BadInput(
                error.message, [Issue(("url",), "not_readable", error.message)]
            ) from error
        return grant, body.account
    grant = Grant(
        refresh_token=body.refresh_token,
        client_id=body.client_id,
        client_secret=body.client_secret,
    )
    try:
        fresh = await oauth.fresh(grant, now)
        account = await services.calendars.account(provider, fresh.access_token)
    except BadInput as error:
        raise BadInput(
            error.message, [Issue(("refreshToken",), "not_accepted", error.message)]
        ) from error
    return fresh, account


async def _keep(services: Services, new: NewConnection) -> CalendarConnection:
    async with services.database.begin() as session:
        return await connections.connect(session, services.box, new, now=services.clock.now())


@router.get("/connections", operation_id="listCalendarConnections")
async def list_(
    member: MemberDep, services: ServicesDep, limit: Limit = 50, cursor: Cursor = None
) -> CalendarConnectionsPage:
    """All connections, newest first."""
    before = decode_cursor("cal", cursor)
    async with services.database.begin() as session:
        found = await connections.connections_of(
            session, owner_of(member), limit=limit + 1, before_id=before
        )
    page = found[:limit]
    return CalendarConnectionsPage(
        data=[CalendarConnectionOut.of(row) for row in page],
        next_cursor=encode_cursor(page[-1].id) if len(found) > limit else None,
    )


@router.get("/connections/{id}", operation_id="getCalendarConnection", responses=NOT_FOUND)
async def get(
    connection_id: ConnectionId, member: MemberDep, services: ServicesDep
) -> CalendarConnectionOut:
    """One connection."""
    async with services.database.begin() as session:
        row = await connections.owned(session, owner_of(member), connection_id)
    return CalendarConnectionOut.of(row)


@router.delete(
    "/connections/{id}",
    operation_id="deleteCalendarConnection",
    status_code=204,
    responses=NOT_FOUND,
)
async def delete(connection_id: ConnectionId, member: MemberDep, services: ServicesDep) -> None:
    """Forget a calendar and its grant, and call off its bots that are still to come."""
    async with services.database.begin() as session:
        placed = await connections.disconnect(
            session,
            services.box,
            services.settings,
            owner_of(member),
            connection_id,
            now=services.clock.now(),
        )
    # Those that are not ended now find their job cancelled when they start.
    await asyncio.gather(*(starting.cancel_run(services, job) for job in placed.cancelled[:50]))


@router.post(
    "/connections/{id}/sync",
    operation_id="syncCalendarConnection",
    status_code=202,
    responses=NOT_FOUND,
)
async def sync(
    connection_id: ConnectionId, member: MemberDep, services: ServicesDep
) -> CalendarSyncOut:
    """Have a calendar synced now; it is every five minutes in any case."""
    now = services.clock.now()
    async with services.database.begin() as session:
        row = await connections.ask_for_sync(session, owner_of(member), connection_id, now=now)
    return CalendarSyncOut(connection_id=row.id, requested_at=now)


@open_router.post(
    "/push/google",
    operation_id="hearFromGoogle",
    status_code=204,
    responses=NOT_FOUND,
)
async def from_google(
    services: ServicesDep,
    channel: Annotated[str, Header(alias="X-Goog-Channel-ID", max_length=64)],
    token: Annotated[str, Header(alias="X-Goog-Channel-Token", max_length=256)],
) -> None:
    """Internal: Google says that a calendar has changed."""
    async with services.database.begin() as session:
        known = await channels.told(session, channel, token, now=services.clock.now())
    if not known:
        raise NotFound("There is no such channel.")


@open_router.post(
    "/push/microsoft",
    operation_id="hearFromMicrosoft",
    status_code=202,
    response_class=Response,
    responses={
        200: {"description": "The validation token.", "content": {"text/plain": {}}},
        202: {"description": "Heard."},
    },
)
async def from_microsoft(
    services: ServicesDep,
    body: GraphNotices | None = None,
    channel: Annotated[str, Query(max_length=64)] = "",
    validation_token: Annotated[str | None, Query(alias="validationToken", max_length=2048)] = None,
) -> Response:
    """Internal: Microsoft says that a calendar has changed, or asks whether we are here."""
    if validation_token is not None:
        return PlainTextResponse(validation_token, headers={"x-content-type-options": "nosniff"})
    words = {one.client_state for one in (body.value if body else []) if one.client_state}
    async with services.database.begin() as session:
        for word in sorted(words)[:10]:
            await channels.told(session, channel, word, now=services.clock.now())
    # Also where it is none of ours: Microsoft would only say it again.
    return Response(status_code=202)


def owner_of(member: Member) -> Owner:
    return Owner(member.team_id, member.livemode)
