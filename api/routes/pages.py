"""What a person has to click: logging in, and approving a command line (UI-01, UI-08, AU-13).

Forms come here and not to the API's own routes, which take JSON; both call the same functions.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, BackgroundTasks, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.dependencies import ServicesDep, check_csrf, check_origin
from api.logins import deliver, send_magic_link
from api.pages import message, page
from api.schemes import SESSION_COOKIE
from api.services import Services
from core.accounts import cli_logins
from core.accounts.magic_links import own_path
from core.accounts.sessions import Login, close_session, find_login
from core.errors import BadInput, Expired, NotFound, RateLimited, Unauthorized

LOGIN_TITLE: Final = "Log in"
CLI_TITLE: Final = "Approve a command line"

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def login_page(
    request: Request,
    services: ServicesDep,
    landing: Annotated[str | None, Query(alias="next", max_length=500)] = None,
) -> Response:
    """Ask for an address, or say who is logged in."""
    return _login_page(services, await _person(request, services), own_path(landing))


@router.post("/login")
async def send_link(
    request: Request,
    services: ServicesDep,
    later: BackgroundTasks,
    email: Annotated[str, Form(max_length=320)] = "",
    landing: Annotated[str | None, Form(alias="next", max_length=500)] = None,
) -> Response:
    """Mail a link, and say so whoever it was."""
    check_origin(request, services)
    try:
        address, text = await send_magic_link(services, request, email, landing)
    except BadInput as error:
        return _login_page(services, None, own_path(landing), problem=error.message, status=400)
    except RateLimited as error:
        response = _login_page(services, None, own_path(landing), problem=error.message, status=429)
        response.headers["retry-after"] = str(error.retry_after_seconds)
        return response
    later.add_task(deliver, services, address, text)
    return _login_page(services, None, own_path(landing), sent_to=address)


@router.post("/logout")
async def logout(
    request: Request, services: ServicesDep, csrf: Annotated[str, Form(max_length=100)] = ""
) -> Response:
    check_origin(request, services)
    person = await _person(request, services)
    response = RedirectResponse("/login", 303)
    if person is not None:
        check_csrf(person, csrf)
        async with services.database.begin() as session:
            await close_session(session, request.cookies[SESSION_COOKIE])
        response.delete_cookie(SESSION_COOKIE, path="/")
    return response


@router.get("/cli-auth")
async def cli_page(
    request: Request, services: ServicesDep, nonce: Annotated[str, Query(max_length=100)]
) -> Response:
    """Show which program asks; it gets nothing without a click."""
    person = await _person(request, services)
    if person is None:
        here = f"/cli-auth?{urlencode({'nonce': nonce})}"
        return RedirectResponse(f"/login?{urlencode({'next': here})}", 302)
    try:
        async with services.database.begin() as session:
            waiting = await cli_logins.find_pending(session, nonce, now=services.clock.now())
    except (NotFound, Expired) as error:
        return _over(error)
    return page("cli_auth.html", CLI_TITLE, waiting=waiting, person=person, nonce=nonce)


@router.post("/cli-auth")
async def cli_decide(
    request: Request,
    services: ServicesDep,
    nonce: Annotated[str, Form(max_length=100)],
    approve: Annotated[str, Form(max_length=10)],
    csrf: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """The click."""
    check_origin(request, services)
    person = await _person(request, services)
    if person is None:
        raise Unauthorized("Your login is over. Log in again.")
    check_csrf(person, csrf)
    approved = approve == "yes"
    try:
        async with services.database.begin() as session:
            await cli_logins.decide(
                session, nonce, person, approve=approved, now=services.clock.now()
            )
    except (NotFound, Expired) as error:
        return _over(error)
    if approved:
        return message("Approved", "Go back to your command line; it has its key now.")
    return message("Denied", "The program got nothing. You can close this page.")


def _over(error: NotFound | Expired) -> Response:
    return message(CLI_TITLE, error.message, status=404 if isinstance(error, NotFound) else 410)


async def _person(request: Request, services: Services) -> Login | None:
    token = request.cookies.get(SESSION_COOKIE)
    try:
        async with services.database.begin() as session:
            return await find_login(session, token, now=services.clock.now())
    except Unauthorized:
        return None


def _login_page(
    services: Services,
    person: Login | None,
    landing: str,
    *,
    sent_to: str | None = None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    return page(
        "login.html",
        LOGIN_TITLE,
        status=status,
        person=person,
        landing=landing,
        sent_to=sent_to,
        problem=problem,
        google=services.google.configured,
    )
