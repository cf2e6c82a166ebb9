"""Teams, their keys, and who a bearer is."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr
from sqlalchemy import bindparam
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import ApiKey, Team
from core.accounts.webhook_secret import new_webhook_secret
from core.billing.credit import grant_signup_credit
from core.errors import BadInput, NotFound, Unauthorized
from core.ids import new_id
from core.secrets import SecretBox

KEY_CHARACTERS: Final = string.ascii_letters + string.digits
KEY_PATTERN: Final = re.compile(r"mb_(live|test)_[A-Za-z0-9]{24}")
# Enough of a key to recognise it by in a list.
PREFIX_LENGTH: Final = 12
# How exact `last_used_at` is; a write per request would cost more than it tells.
LAST_USED_GRAIN: Final = timedelta(minutes=1)
# Every request asks this, so it reads no more than it needs, and is put together once.
_VALID_KEY: Final = select(ApiKey.id, ApiKey.team_id, ApiKey.livemode, ApiKey.last_used_at).where(
    col(ApiKey.key_hash) == bindparam("presented"), col(ApiKey.revoked_at).is_(None)
)


@dataclass(frozen=True)
class Caller:
    """Whom a request speaks for: a team, in one of its two worlds (CV-12)."""

    team_id: str
    key_id: str
    livemode: bool


async def create_team(session: AsyncSession, box: SecretBox, name: str, *, now: datetime) -> Team:
    """A team with its webhook secret (AU-10) and its first credit (BL-11)."""
    cleaned = name.strip()
    if not 1 <= len(cleaned) <= 64:
        raise BadInput("A team's name has 1 to 64 characters.")
    secret = box.seal(new_webhook_secret())
    team = Team(id=new_id("team"), name=cleaned, webhook_secret=secret, created_at=now)
    session.add(team)
    await session.flush()
    await grant_signup_credit(session, team.id, now=now)
    return team


async def mint_key(
    session: AsyncSession, team_id: str, name: str, *, livemode: bool, now: datetime
) -> tuple[ApiKey, SecretStr]:
    """A new key and its row; the key itself is never to be had again (AU-03).

    Raises:
        BadInput: the name is empty or longer than 64 characters.
        NotFound: no such team.
    """
    cleaned = name.strip()
    if not 1 <= len(cleaned) <= 64:
        raise BadInput("A key's name has 1 to 64 characters.")
    if await session.get(Team, team_id) is None:
        raise NotFound(f"There is no team {team_id}.")
    body = "".join(secrets.choice(KEY_CHARACTERS) for _ in range(24))
    key = f"mb_{'live' if livemode else 'test'}_{body}"
    row = ApiKey(
        id=new_id("key"),
        team_id=team_id,
        name=cleaned,
        livemode=livemode,
        key_hash=_hash(key),
        prefix=key[:PREFIX_LENGTH],
        created_at=now,
    )
    session.add(row)
    await session.flush()
    return row, SecretStr(key)


async def revoke_key(session: AsyncSession, team_id: str, key_id: str, *, now: datetime) -> None:
    """Stop new requests with the key; jobs it started go on (AU-05).

    Raises:
        NotFound: the team has no such key.
    """
    row = await session.get(ApiKey, key_id)
    if row is None or row.team_id != team_id:
        raise NotFound(f"There is no key {key_id}.")
    row.revoked_at = row.revoked_at or now


async def authenticate(session: AsyncSession, bearer: str | None, *, now: datetime) -> Caller:
    """Who presents `bearer`, the value of an `Authorization` header.

    Raises:
        Unauthorized: missing, malformed, unknown or revoked (AU-04).
    """
    scheme, _, key = (bearer or "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not KEY_PATTERN.fullmatch(key):
        raise Unauthorized("Send your API key as `Authorization: Bearer mb_live_…` or `mb_test_…`.")
    row = (await session.exec(_VALID_KEY, params={"presented": _hash(key)})).one_or_none()
    if row is None:
        raise Unauthorized("This API key is unknown or was revoked. Create a new one.")
    key_id, team_id, livemode, last_used_at = row
    if last_used_at is None or now - last_used_at > LAST_USED_GRAIN:
        await session.exec(update(ApiKey).where(col(ApiKey.id) == key_id).values(last_used_at=now))
    return Caller(team_id=team_id, key_id=key_id, livemode=livemode)


def webhook_secrets(team: Team, box: SecretBox, *, now: datetime) -> tuple[SecretStr, ...]:
    """The secrets to sign with, the previous one first while it is still valid (WH-32)."""
    current = box.open(team.webhook_secret)
    until = team.previous_secret_until
    if team.previous_webhook_secret is None or until is None or now >= until:
        return (current,)
    return (box.open(team.previous_webhook_secret), current)


def _hash(key: str) -> str:
    """A plain digest is enough: a key carries 142 random bits, so guessing it is hopeless."""
    return hashlib.sha256(key.encode()).hexdigest()
