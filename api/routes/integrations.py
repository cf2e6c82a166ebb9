"""Accounts at meeting platforms that bots sign in with (API-46, PL-24)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Set
from typing import Annotated

from fastapi import APIRouter, Path

from api.dependencies import Member, MemberDep, ServicesDep
from api.schemas.errors import ErrorOut
from api.schemas.integrations import ConnectIn, IntegrationOut, IntegrationsOut
from api.services import Services
from core.integrations.models import Integration
from core.integrations.pool import Owner, connect, disconnect, in_use, integrations_of
from core.integrations.state import Provider

router = APIRouter(
    prefix="/api/v1/integrations",
    tags=["account"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 429, 500, 503)},
)


def _connecting(provider: Provider) -> Callable[..., Awaitable[IntegrationOut]]:
    async def connect_(body: ConnectIn, member: MemberDep, services: ServicesDep) -> IntegrationOut:
        async with services.database.begin() as session:
            row = await connect(
                session,
                services.box,
                _owner(member),
                provider,
                body.label,
                body.storage_state,
                now=services.clock.now(),
            )
            busy = await in_use(session, [row])
        return _shown(services, row, busy)

    return connect_


for _provider in Provider:
    router.add_api_route(
        f"/{_provider}/connect",
        _connecting(_provider),
        methods=["POST"],
        operation_id=f"connect{_provider.capitalize()}",
        description=(
            f"Lend a {_provider.capitalize()} account to bots: they join its meetings signed in, "
            "one at a time."
        ),
        status_code=201,
        responses={403: {"model": ErrorOut}},
    )


@router.get("", operation_id="listIntegrations")
async def list_(member: MemberDep, services: ServicesDep) -> IntegrationsOut:
    """All accounts of the team, the oldest first."""
    async with services.database.begin() as session:
        rows = await integrations_of(session, _owner(member))
        busy = await in_use(session, rows)
    return IntegrationsOut(data=[_shown(services, row, busy) for row in rows])


@router.delete(
    "/{id}",
    operation_id="deleteIntegration",
    status_code=204,
    responses={code: {"model": ErrorOut} for code in (403, 404)},
)
async def delete(
    integration_id: Annotated[str, Path(alias="id", description="`int_…`")],
    member: MemberDep,
    services: ServicesDep,
) -> None:
    """Forget an account and its secrets. A bot that is in a meeting with it stays there."""
    async with services.database.begin() as session:
        await disconnect(session, _owner(member), integration_id)


def _owner(member: Member) -> Owner:
    return Owner(member.team_id, member.livemode)


def _shown(services: Services, row: Integration, busy: Set[str]) -> IntegrationOut:
    in_use_by = row.lent_to if row.lent_to in busy else None
    return IntegrationOut.of(row, in_use_by, services.clock.now())
