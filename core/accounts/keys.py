"""A team's keys as its members see them (API-29, API-79). `service.mint_key` makes them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import ApiKey
from core.errors import NotFound
from core.ids import parse_id


async def list_keys(
    session: AsyncSession,
    team_id: str,
    livemode: bool | None,
    *,
    limit: int,
    before_id: str | None = None,
) -> Sequence[ApiKey]:
    """The team's keys, newest first, revoked ones too; of both modes when `livemode` is None."""
    statement = select(ApiKey).where(ApiKey.team_id == team_id)
    if livemode is not None:
        statement = statement.where(ApiKey.livemode == livemode)
    if before_id is not None:
        statement = statement.where(col(ApiKey.id) < before_id)
    statement = statement.order_by(col(ApiKey.id).desc()).limit(limit)
    return (await session.exec(statement)).all()


async def owned_key(
    session: AsyncSession, team_id: str, livemode: bool | None, text: str
) -> ApiKey:
    """One of the team's keys.

    Raises:
        NotFound: unknown, another team's, or of the other mode (CV-11, CV-12).
    """
    key_id = parse_id("key", text)
    row = await session.get(ApiKey, key_id) if key_id is not None else None
    if row is None or row.team_id != team_id or livemode not in (None, row.livemode):
        raise NotFound(f"There is no key {text[:64]}. Check the id; `GET /api/v1/keys` lists them.")
    return row
