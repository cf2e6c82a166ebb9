"""The device flow of the command line (API-23 to 25, AU-11 to 13)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request, Response

from api.dependencies import ServicesDep, SessionDep
from api.logins import client_address
from api.schemas.accounts import (
    CliComplete,
    CliCompleteIn,
    CliInitIn,
    CliInitOut,
    CliPending,
    Ok,
    TeamOut,
)
from api.schemas.errors import ErrorOut
from core import rate_limits
from core.accounts import cli_logins
from core.accounts.home import require_home
from core.accounts.login_models import CliStatus

INTERVAL_SECONDS = 2
# Twice as often as asked for is still all right.
POLLS_A_MINUTE = 60

router = APIRouter(
    prefix="/api/v1/cli-auth",
    tags=["cli-auth"],
    responses={code: {"model": ErrorOut} for code in (400, 429, 500, 503)},
)


@router.post("/init", operation_id="initCliAuth", status_code=201)
async def init(
    request: Request, services: ServicesDep, response: Response, body: CliInitIn | None = None
) -> CliInitOut:
    """Ask for a key: open `loginUrl` in a browser, then poll every `interval` seconds."""
    require_home(services.settings.identities)
    asked = body or CliInitIn()
    now = services.clock.now()
    async with services.database.begin() as session:
        subject = f"cli-auth:{client_address(request)}"
        await rate_limits.take(session, subject, services.settings.limits.cli_auth, now=now)
        nonce = await cli_logins.begin(
            session, client_name=asked.client_name, hostname=asked.hostname, now=now
        )
    response.headers["cache-control"] = "no-store"
    secret = nonce.get_secret_value()
    return CliInitOut(
        nonce=secret,
        login_url=f"{services.settings.api.login_url}/cli-auth?{urlencode({'nonce': secret})}",
        expires_in=int(cli_logins.LIFE.total_seconds()),
        interval=INTERVAL_SECONDS,
    )


@router.post(
    "/poll/{nonce}",
    operation_id="pollCliAuth",
    responses={404: {"model": ErrorOut}, 410: {"model": ErrorOut}},
)
async def poll(
    nonce: Annotated[str, Path(max_length=100)],
    request: Request,
    services: ServicesDep,
    response: Response,
) -> CliPending | CliComplete:
    """What the person decided; the key is in the first answer after that, and in no other."""
    response.headers["cache-control"] = "no-store"
    now = services.clock.now()
    async with services.database.begin() as session:
        subject = f"cli-poll:{client_address(request)}"
        most = POLLS_A_MINUTE * services.settings.limits.cli_auth
        await rate_limits.take(session, subject, most, now=now)
        found = await cli_logins.poll(session, nonce, now=now)
    if found.key is None or found.key_id is None or found.team is None:
        return CliPending(status="pending" if found.status is CliStatus.PENDING else "denied")
    return CliComplete(
        token=found.key.get_secret_value(),
        key_id=found.key_id,
        team=TeamOut(id=found.team.id, name=found.team.name),
    )


@router.post(
    "/complete",
    operation_id="completeCliAuth",
    responses={code: {"model": ErrorOut} for code in (401, 403, 404, 410)},
)
async def complete(body: CliCompleteIn, login: SessionDep, services: ServicesDep) -> Ok:
    """Approve or deny, as the person who is logged in."""
    async with services.database.begin() as session:
        await cli_logins.decide(
            session, body.nonce, login, approve=body.approve, now=services.clock.now()
        )
    return Ok()
