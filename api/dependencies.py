"""The vocabulary of route signatures."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request, Security
from fastapi.security import HTTPBearer

from api.services import Services
from core.accounts.service import Caller, authenticate
from core.jobs.models import Job
from core.jobs.rows import owned_job

# For the document only: the header is read below, so that every failure is our 401.
key_scheme = HTTPBearer(
    auto_error=False, scheme_name="key", description="`mb_live_…` or `mb_test_…`"
)


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]


async def caller(
    request: Request, services: ServicesDep, _: Annotated[object, Security(key_scheme)]
) -> Caller:
    """Who asks, by their API key."""
    async with services.database.begin() as session:
        bearer = request.headers.get("authorization")
        return await authenticate(session, bearer, now=services.clock.now())


CallerDep = Annotated[Caller, Depends(caller)]


async def job_of_caller(
    job_id: Annotated[str, Path(alias="id", description="`job_…`, a bare ULID or a UUID.")],
    services: ServicesDep,
    caller: CallerDep,
) -> Job:
    """The caller's job; strangers are told that there is none (CV-11)."""
    async with services.database.begin() as session:
        return await owned_job(session, caller.team_id, caller.livemode, job_id)


OwnedJob = Annotated[Job, Depends(job_of_caller)]
