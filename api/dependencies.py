"""The vocabulary of route signatures: who asks, and for what.

| annotation | who asks |
| --- | --- |
| `CallerDep` | an API key |
| `SessionDep` | a person who is logged in |
| `MemberDep` | either of them |
| `AdminDep` | the operator |
| `IntakeDep` | the mail worker |

Bots have theirs in `api.routes.ingest`. A credential of one kind is refused by the others (AU-07).
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Path, Query, Request, Security
from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from api.schemes import SESSION_COOKIE, admin_scheme, intake_scheme, key_scheme, session_scheme
from api.services import Services
from core.accounts.service import Caller, authenticate
from core.accounts.sessions import Login, find_login
from core.errors import Forbidden, Unauthorized
from core.jobs.models import Job
from core.jobs.rows import owned_job
from core.rate_limits import take

# These change nothing, so another site may cause them; they need no proof of intention.
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


async def services(request: Request) -> Services:
    # Not a plain function: FastAPI sends those through a thread for every request.
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]


@dataclass(frozen=True)
class Member:
    """Whom a request speaks for, by key or by login: a team, in one of its two worlds (CV-12)."""

    team_id: str
    livemode: bool
    key_id: str | None = None
    user_id: str | None = None


async def caller(
    request: Request, services: ServicesDep, _: Annotated[object, Security(key_scheme)]
) -> Caller:
    """Who asks, by their API key."""
    return await _caller(request, services)


async def login(
    request: Request, services: ServicesDep, _: Annotated[object, Security(session_scheme)]
) -> Login:
    """Who asks, by the cookie of their login."""
    return await _login(request, services)


async def member(
    request: Request,
    services: ServicesDep,
    _: Annotated[object, Security(key_scheme)],
    __: Annotated[object, Security(session_scheme)],
    livemode: Annotated[
        bool, Query(description="With a login: live or test data. A key decides by itself.")
    ] = True,
) -> Member:
    """Who asks, by key or by login; a request that has both speaks for the key."""
    if "authorization" in request.headers:
        by_key = await _caller(request, services)
        return Member(by_key.team_id, by_key.livemode, key_id=by_key.key_id)
    if SESSION_COOKIE not in request.cookies:
        raise Unauthorized("Send your API key as `Authorization: Bearer mb_…`, or log in.")
    person = await _login(request, services)
    return Member(person.team_id, livemode, user_id=person.user_id)


async def _caller(request: Request, services: Services) -> Caller:
    now = services.clock.now()
    async with services.database.begin() as session:
        found = await authenticate(session, request.headers.get("authorization"), now=now)
        if getattr(request.scope.get("route"), "operation_id", None) == "createJob":
            most = services.settings.limits.create_job
            await take(session, f"jobs:{found.team_id}", most, now=now)
            return found
    services.meter.count(f"requests:{found.team_id}")
    return found


async def _login(request: Request, services: Services) -> Login:
    token = request.cookies.get(SESSION_COOKIE)
    now = services.clock.now()
    async with services.database.begin() as session:
        found = await find_login(session, token, now=now)
    services.meter.count(f"requests:{found.team_id}")
    if request.method not in SAFE_METHODS:
        check_origin(request, services)
        check_csrf(found, request.headers.get("x-csrf-token"))
    return found


def check_origin(request: Request, services: Services) -> None:
    """Refuse what a page of another site sends.

    Raises:
        Forbidden: browsers say where the page is from, and it is not from us.
    """
    origin = request.headers.get("origin")
    api = services.settings.api
    if origin is not None and origin not in {_origin(api.public_url), _origin(api.login_url)}:
        raise Forbidden("This request comes from a page of another site.")


def check_csrf(login: Login, token: str | None) -> None:
    """Refuse what a person who is logged in may not have meant (AU-13).

    Raises:
        Forbidden: the token is missing, or another login's.
    """
    if token is None or not hmac.compare_digest(token.encode(), login.csrf_token.encode()):
        raise Forbidden("Send the csrfToken of GET /auth/session as `x-csrf-token`.")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def admin(
    request: Request, services: ServicesDep, _: Annotated[object, Security(admin_scheme)]
) -> None:
    """Lets the operator pass, by MEETBOT_API__ADMIN_TOKEN."""
    token = services.settings.api.admin_token
    _check_bearer(request, (token,) if token else (), "the operator's secret")


async def intake(
    request: Request, services: ServicesDep, _: Annotated[object, Security(intake_scheme)]
) -> None:
    """Lets the mail worker pass, by one of MEETBOT_API__INTAKE_TOKENS."""
    _check_bearer(request, services.settings.api.intake_tokens, "the mail worker's secret")


def _check_bearer(request: Request, known: Sequence[SecretStr], what: str) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    sent = token.strip().encode()
    # All are compared, so that the time says nothing.
    same = [hmac.compare_digest(sent, one.get_secret_value().encode()) for one in known]
    if scheme.lower() != "bearer" or not any(same):
        raise Unauthorized(f"Send {what} as `Authorization: Bearer …`.")


@dataclass(frozen=True)
class Reading:
    """A read in one transaction: who asks is looked up in it, and so is what they ask for."""

    session: AsyncSession
    caller: Caller


async def reading(
    request: Request, services: ServicesDep, _: Annotated[object, Security(key_scheme)]
) -> AsyncIterator[Reading]:
    """As `caller`, for short reads: a second transaction would cost as much as the rest of them."""
    async with services.database.begin() as session:
        bearer = request.headers.get("authorization")
        found = await authenticate(session, bearer, now=services.clock.now())
        services.meter.count(f"requests:{found.team_id}")
        yield Reading(session, found)


CallerDep = Annotated[Caller, Depends(caller)]
# Over when the route returns and not only when its answer is sent.
ReadingDep = Annotated[Reading, Depends(reading, scope="function")]
SessionDep = Annotated[Login, Depends(login)]
MemberDep = Annotated[Member, Depends(member)]
AdminDep = Annotated[None, Depends(admin)]
IntakeDep = Annotated[None, Depends(intake)]


JobId = Annotated[str, Path(alias="id", description="`job_…`, a bare ULID or a UUID.")]


async def job_of_caller(
    job_id: JobId,
    services: ServicesDep,
    caller: CallerDep,
) -> Job:
    """The caller's job; strangers are told that there is none (CV-11)."""
    async with services.database.begin() as session:
        return await owned_job(session, caller.team_id, caller.livemode, job_id)


OwnedJob = Annotated[Job, Depends(job_of_caller)]


async def job_of_member(
    job_id: JobId,
    services: ServicesDep,
    member: MemberDep,
) -> Job:
    """As `job_of_caller`, for routes that logins may use as well."""
    async with services.database.begin() as session:
        return await owned_job(session, member.team_id, member.livemode, job_id)


MembersJob = Annotated[Job, Depends(job_of_member)]
