"""Logging in and out (API-47)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.dependencies import ServicesDep, SessionDep, check_origin
from api.logins import deliver, log_in, send_magic_link
from api.pages import message
from api.schemas.accounts import MagicLinkIn, MagicLinkOut, SessionOut, TeamOut, UserOut
from api.schemas.errors import ErrorOut
from api.schemes import SESSION_COOKIE
from core.accounts.home import require_home
from core.accounts.magic_links import own_path, use_link
from core.accounts.models import Team, User
from core.accounts.people import normal_address
from core.accounts.sessions import close_session
from core.errors import BadInput, Expired

Answers = dict[int | str, dict[str, Any]]
UNAUTHORIZED: Final[Answers] = {401: {"model": ErrorOut}}
REDIRECT: Final[Answers] = {302: {"description": "The browser goes on, logged in."}}
# Where the browser goes after Google, kept beside the library's own data.
LANDING: Final = "landing"

router = APIRouter(
    prefix="/auth",
    tags=["account"],
    responses={code: {"model": ErrorOut} for code in (400, 429, 500, 503)},
)


@router.post("/magic-link", operation_id="sendMagicLink", status_code=202)
async def magic_link(
    body: MagicLinkIn, request: Request, services: ServicesDep, later: BackgroundTasks
) -> MagicLinkOut:
    """Mail a login link. It works once, within 15 minutes."""
    check_origin(request, services)
    address, text = await send_magic_link(services, request, body.email, body.next)
    later.add_task(deliver, services, address, text)
    return MagicLinkOut()


@router.get(
    "/magic-link/verify",
    operation_id="useMagicLink",
    status_code=302,
    response_class=RedirectResponse,
    responses={**REDIRECT, 410: {"model": ErrorOut}},
)
async def verify(
    token: Annotated[str, Query(max_length=100)], request: Request, services: ServicesDep
) -> Response:
    """What the link in the mail leads to."""
    try:
        async with services.database.begin() as session:
            address, landing = await use_link(session, token, now=services.clock.now())
    except (BadInput, Expired) as error:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        # A person clicked.
        return message("Log in", error.message, status=400 if isinstance(error, BadInput) else 410)
    response = RedirectResponse(landing, 302)
    await log_in(services, response, address)
    return response


@router.get(
    "/google/start",
    operation_id="startGoogleLogin",
    status_code=302,
    response_class=RedirectResponse,
    responses=REDIRECT,
)
async def google_start(
    request: Request,
    services: ServicesDep,
    landing: Annotated[str | None, Query(alias="next", max_length=500)] = None,
) -> Response:
    """Go to Google."""
    require_home(services.settings.identities)
    response = await services.google.start(request)
    request.session[LANDING] = own_path(landing)
    return response


@router.get(
    "/google/callback",
    operation_id="finishGoogleLogin",
    status_code=302,
    response_class=RedirectResponse,
    responses=REDIRECT,
)
async def google_callback(request: Request, services: ServicesDep) -> RedirectResponse:
    """Where Google sends the browser back to."""
    person = await services.google.finish(request)
    response = RedirectResponse(own_path(request.session.pop(LANDING, None)), 302)
    await log_in(services, response, normal_address(person.email), name=person.name)
    return response


@router.get("/session", operation_id="getSession", responses=UNAUTHORIZED)
async def session_(login: SessionDep, services: ServicesDep, response: Response) -> SessionOut:
    """Who is logged in."""
    response.headers["cache-control"] = "no-store"
    async with services.database.begin() as session:
        user = await session.get_one(User, login.user_id)
        team = await session.get_one(Team, login.team_id)
    return SessionOut(
        user=UserOut(id=user.id, email=user.email, name=user.name),
        team=TeamOut(id=team.id, name=team.name),
        csrf_token=login.csrf_token,
    )


@router.post(
    "/logout",
    operation_id="logOut",
    status_code=204,
    responses={**UNAUTHORIZED, 403: {"model": ErrorOut}},
)
async def logout(
    _: SessionDep, request: Request, services: ServicesDep, response: Response
) -> None:
    """End this login."""
    async with services.database.begin() as session:
        await close_session(session, request.cookies[SESSION_COOKIE])
    response.delete_cookie(SESSION_COOKIE, path="/")
