"""Keys, the webhook secret, and whom a key speaks for (API-29 to 31, API-79, API-80)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response

from api.dependencies import CallerDep, Member, MemberDep, ServicesDep, SessionDep
from api.pagination import Cursor, Limit, decode_cursor, encode_cursor
from api.schemas.accounts import (
    ConsumerOut,
    ConsumerStorage,
    ConsumerTranscription,
    KeyIn,
    KeyOut,
    KeysPage,
    NewKeyOut,
    WebhookSecretOut,
)
from api.schemas.errors import ErrorOut
from api.services import Services
from core.accounts import keys
from core.accounts.home import require_home
from core.accounts.models import ApiKey, Team
from core.accounts.people import first_address
from core.accounts.service import mint_key, revoke_key, webhook_secrets
from core.accounts.webhook_secret import rotate_webhook_secret
from core.billing import credit
from core.billing.gate import has_payment_method
from core.errors import BadInput, Issue
from core.storage.team import current_storage
from core.transcripts.settings import team_options

Answers = dict[int | str, dict[str, Any]]
CHANGES: Final[Answers] = {403: {"model": ErrorOut}, 409: {"model": ErrorOut}}
NO_STORE: Final = "no-store"

router = APIRouter(
    prefix="/api/v1",
    responses={code: {"model": ErrorOut} for code in (400, 401, 429, 500, 503)},
)


@router.get("/keys", operation_id="listKeys", tags=["keys"])
async def list_(
    member: MemberDep, services: ServicesDep, limit: Limit = 50, cursor: Cursor = None
) -> KeysPage:
    """Keys, newest first. A key sees those of its own mode, a login sees all."""
    before = decode_cursor("key", cursor)
    async with services.database.begin() as session:
        found = await keys.list_keys(
            session, member.team_id, _mode(member), limit=limit + 1, before_id=before
        )
    page = found[:limit]
    more = encode_cursor(page[-1].id) if len(found) > limit else None
    return KeysPage(data=[KeyOut.of(row) for row in page], next_cursor=more)


@router.post(
    "/keys",
    operation_id="createKey",
    tags=["keys"],
    status_code=201,
    responses=CHANGES,
)
async def create(
    body: KeyIn, member: MemberDep, services: ServicesDep, response: Response
) -> NewKeyOut:
    """Make a key. It is in this answer and in no other."""
    require_home(services.settings.identities)
    livemode = body.mode == "live"
    if _mode(member) not in (None, livemode):
        message = "A key makes keys of its own mode only; use one of the other mode, or log in."
        raise BadInput(message, [Issue(("mode",), "other_mode", message)])
    async with services.database.begin() as session:
        row, key = await mint_key(
            session, member.team_id, body.name, livemode=livemode, now=services.clock.now()
        )
    response.headers["cache-control"] = NO_STORE
    return NewKeyOut.made(row, key)


@router.delete(
    "/keys/{id}",
    operation_id="revokeKey",
    tags=["keys"],
    status_code=204,
    responses={**CHANGES, 404: {"model": ErrorOut}},
)
async def revoke(
    key_id: Annotated[str, Path(alias="id", description="`key_…`")],
    member: MemberDep,
    services: ServicesDep,
) -> None:
    """Refuse all further requests with the key. Bots that it sent go on (AU-05)."""
    require_home(services.settings.identities)
    async with services.database.begin() as session:
        row = await keys.owned_key(session, member.team_id, _mode(member), key_id)
        await revoke_key(session, member.team_id, row.id, now=services.clock.now())


@router.get("/webhook-secret", operation_id="getWebhookSecret", tags=["webhooks"])
async def webhook_secret(
    login: SessionDep, services: ServicesDep, response: Response
) -> WebhookSecretOut:
    """What webhooks are signed with."""
    async with services.database.begin() as session:
        team = await session.get_one(Team, login.team_id)
    response.headers["cache-control"] = NO_STORE
    return _secret(services, team)


@router.post(
    "/webhook-secret/rotate",
    operation_id="rotateWebhookSecret",
    tags=["webhooks"],
    status_code=201,
    responses=CHANGES,
)
async def rotate(login: SessionDep, services: ServicesDep, response: Response) -> WebhookSecretOut:
    """Make a new secret. The one before signs beside it for 24 hours."""
    require_home(services.settings.identities)
    async with services.database.begin() as session:
        team = await rotate_webhook_secret(
            session, services.box, login.team_id, now=services.clock.now()
        )
    response.headers["cache-control"] = NO_STORE
    return _secret(services, team)


@router.get("/consumer", operation_id="getConsumer", tags=["account"])
async def consumer(caller: CallerDep, services: ServicesDep) -> ConsumerOut:
    """Whom this key speaks for."""
    async with services.database.begin() as session:
        team = await session.get_one(Team, caller.team_id)
        key = await session.get_one(ApiKey, caller.key_id)
        address = await first_address(session, caller.team_id)
        left = await credit.remaining(session, caller.team_id)
        card = await has_payment_method(session, caller.team_id)
        storage = await current_storage(session, caller.team_id)
        transcription = await team_options(session, caller.team_id)
    bucket = storage.uri if storage is not None else None
    return ConsumerOut(
        id=team.id,
        name=team.name,
        email=address,
        mode="live" if caller.livemode else "test",
        key_id=key.id,
        key_prefix=key.prefix,
        region=services.settings.region,
        credit_remaining_usd=credit.shown(left),
        has_payment_method=card,
        storage=ConsumerStorage(
            bucket=bucket,
            configured=bucket is not None,
        ),
        transcription=ConsumerTranscription(
            mode=transcription.mode, provider=transcription.provider
        ),
        created_at=team.created_at,
    )


def _mode(member: Member) -> bool | None:
    """Which keys a member deals with: a key with its like (CV-12), a person with all."""
    return member.livemode if member.key_id is not None else None


def _secret(services: Services, team: Team) -> WebhookSecretOut:
    secrets = webhook_secrets(team, services.box, now=services.clock.now())
    return WebhookSecretOut(
        secret=secrets[-1].get_secret_value(),
        previous_valid_until=team.previous_secret_until if len(secrets) > 1 else None,
    )
