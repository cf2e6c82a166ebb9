"""What a team's wishes for its storage come to (API-84, MF-21)."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from api.schemas.settings import StorageIn, StorageOut, split_bucket
from api.services import Services
from core.accounts.models import Team
from core.errors import BadInput, Issue
from core.jobs.moving import follow
from core.network.addresses import check_url
from core.storage.s3 import Bucket
from core.storage.team import (
    OPERATORS,
    Keys,
    TeamStorage,
    bucket_of,
    current_storage,
    keys_of,
    place,
)


async def shown_storage(services: Services, team_id: str) -> StorageOut:
    """What the team chose, without its secret."""
    async with services.database.begin() as session:
        row = await current_storage(session, team_id)
    return _shown(services, row)


async def saved_storage(services: Services, team_id: str, body: StorageIn) -> StorageOut:
    """Make `body` the team's choice.

    Raises:
        BadInput: the endpoint may not be connected to, the secret is missing, or the operator
            offers no storage of its own.
    """
    await _check(services, body)
    async with services.database.begin() as session:
        await session.get_one(Team, team_id, with_for_update=True)
        row = await place(session, await _row(session, services, team_id, body))
        await follow(session, row, now=services.clock.now())
    return _shown(services, row)


async def tested_bucket(
    services: Services, team_id: str, body: StorageIn | None
) -> tuple[str, Bucket]:
    """The bucket to try out, by its URI and how to open it.

    Raises:
        BadInput: there is none, or as `saved_storage`.
    """
    if body is not None:
        await _check(services, body)
    async with services.database.begin() as session:
        if body is None:
            row = await current_storage(session, team_id)
        else:
            row = await _row(session, services, team_id, body)
    if row is None or row.uri is None:
        message = "There is no bucket of the team to test; send one, or store it first."
        raise BadInput(message, [Issue(("bucket",), "missing", message)])
    return row.uri, bucket_of(row, services.box, services.settings.trusted_origins)


async def _check(services: Services, body: StorageIn) -> None:
    if body.managed and services.settings.storage.managed_for == "off":
        message = "This service keeps no recordings itself; set a bucket of your own."
        raise BadInput(message, [Issue(("managed",), "not_offered", message)])
    if body.endpoint is not None:
        await check_url(
            body.endpoint,
            services.settings.trusted_origins,
            path=("endpoint",),
            resolver=services.resolver,
        )


async def _row(
    session: AsyncSession, services: Services, team_id: str, body: StorageIn
) -> TeamStorage:
    now = services.clock.now()
    row = TeamStorage(
        id="",
        team_id=team_id,
        bucket=OPERATORS,
        created_at=now,
        updated_at=now,
        selected_at=now,
    )
    if body.managed or body.bucket is None or body.access_key_id is None:
        return row
    row.bucket, row.prefix = split_bucket(body.bucket)
    row.endpoint = (body.endpoint or "").rstrip("/")
    row.region, row.force_path_style = body.region, body.force_path_style
    if body.encryption is not None:
        row.encryption, row.kms_key_id = body.encryption.mode, body.encryption.kms_key_id
    keys = await _keys(session, services, team_id, body, body.access_key_id)
    row.credentials = keys.sealed(services.box)
    return row


async def _keys(
    session: AsyncSession, services: Services, team_id: str, body: StorageIn, access_key_id: str
) -> Keys:
    """What was sent, or the stored secret of the same key."""
    if body.secret_access_key is not None:
        return Keys(access_key_id=access_key_id, secret_access_key=body.secret_access_key)
    stored = await current_storage(session, team_id)
    known = keys_of(stored, services.box) if stored is not None and not stored.managed else None
    if known is None or known.access_key_id != access_key_id:
        message = "Send the secretAccessKey that belongs to accessKeyId."
        raise BadInput(message, [Issue(("secretAccessKey",), "missing", message)])
    return known


def _shown(services: Services, row: TeamStorage | None) -> StorageOut:
    offered = services.settings.storage.managed_for != "off"
    known = keys_of(row, services.box).access_key_id if row is not None and row.uri else None
    return StorageOut.of(row, known, offered=offered)
