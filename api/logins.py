"""From a proven address to a browser that is logged in, and the mails on the way."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from fastapi import Request, Response

from api.schemes import SESSION_COOKIE
from api.services import Services
from core import rate_limits
from core.accounts.home import require_home
from core.accounts.magic_links import LIFE, make_link, own_path
from core.accounts.people import normal_address, sign_in
from core.accounts.sessions import open_session
from core.errors import MeetbotError

log = logging.getLogger(__name__)

SUBJECT: Final = "Your login link"


def client_address(request: Request) -> str:
    """Who is at the other end; behind our own proxies, who is before them."""
    return request.client.host if request.client else "unknown"


async def send_magic_link(
    services: Services, request: Request, address: str, landing: str | None
) -> tuple[str, str]:
    """Make a link; returns the address and the text to mail to it, after the answer.

    Raises:
        BadInput: it is no address.
        RateLimited: too many links for this address, or from this client.
    """
    require_home(services.settings.identities)
    to = normal_address(address)
    now, limits = services.clock.now(), services.settings.limits
    async with services.database.begin() as session:
        subject = f"login:{client_address(request)}"
        await rate_limits.take(session, subject, limits.login, now=now)
        await rate_limits.take(session, f"mail:{to}", limits.mails, now=now, period=LIFE)
        token = await make_link(session, to, landing=own_path(landing), now=now)
    query = urlencode({"token": token.get_secret_value()})
    link = f"{services.settings.api.login_url}/auth/magic-link/verify?{query}"
    minutes = int(LIFE.total_seconds() // 60)
    text = (
        f"Open this link within {minutes} minutes to log in to meetbot. It works once.\n\n"
        f"{link}\n\nIf you did not ask for it, ignore this mail; nobody can log in without it.\n"
    )
    return to, text


async def deliver(services: Services, address: str, text: str) -> None:
    """Send the mail; the person was told already that it is on its way."""
    try:
        await services.mailer.send(address, SUBJECT, text)
    except MeetbotError as error:
        log.error("a login link was not sent: %s", error.message)  # noqa: TRY400 - no trace needed


async def log_in(
    services: Services, response: Response, address: str, *, name: str | None = None
) -> None:
    """Log this browser in as the owner of `address`."""
    require_home(services.settings.identities)
    life = timedelta(days=services.settings.login.session_days)
    now = services.clock.now()
    async with services.database.begin() as session:
        user, team = await sign_in(session, services.box, address, name=name, now=now)
        token = await open_session(session, user, team, life=life, now=now)
    response.set_cookie(
        SESSION_COOKIE,
        token.get_secret_value(),
        max_age=int(life.total_seconds()),
        path="/",
        httponly=True,
        secure=services.settings.api.login_url.startswith("https://"),
        # Links from mails and from Google bring it; other sites' forms do not.
        samesite="lax",
    )
