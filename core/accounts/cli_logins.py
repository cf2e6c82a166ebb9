"""A command line gets a key of the person at its browser (API-23 to 25, AU-11 to 13)."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr
from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.login_models import CliLogin, CliStatus
from core.accounts.models import Team
from core.accounts.service import mint_key
from core.accounts.sessions import Login
from core.errors import Expired, NotFound

LIFE: Final = timedelta(seconds=600)
# So long a nonce that is over is told from one that never was.
KEPT: Final = timedelta(days=1)
DEFAULT_NAME: Final = "A command line"
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Polled:
    """What a command line is told. `key` and its team only when it was approved, and only once."""

    status: CliStatus
    key: SecretStr | None = None
    key_id: str | None = None
    team: Team | None = None


async def begin(
    session: AsyncSession, *, client_name: str | None, hostname: str | None, now: datetime
) -> SecretStr:
    """The nonce of a new login; who knows it gets the key, so only its hash is kept."""
    nonce = secrets.token_urlsafe(32)
    session.add(
        CliLogin(
            nonce_hash=_hash(nonce),
            client_name=client_name or DEFAULT_NAME,
            hostname=hostname or "",
            expires_at=now + LIFE,
        )
    )
    await session.flush()
    return SecretStr(nonce)


async def find_pending(session: AsyncSession, nonce: str, *, now: datetime) -> CliLogin:
    """The login to decide on, locked.

    Raises:
        NotFound: there never was one with this nonce.
        Expired: it was decided on, or its time is over.
    """
    row = await _find(session, nonce, now=now)
    if row.status is not CliStatus.PENDING:
        raise Expired("This login was decided on already. Start again in the command line.")
    return row


async def decide(
    session: AsyncSession, nonce: str, person: Login, *, approve: bool, now: datetime
) -> None:
    """What `person` clicked. Raises as `find_pending`."""
    row = await find_pending(session, nonce, now=now)
    row.status = CliStatus.APPROVED if approve else CliStatus.DENIED
    row.team_id, row.user_id = person.team_id, person.user_id


async def poll(session: AsyncSession, nonce: str, *, now: datetime) -> Polled:
    """What has become of a login; the answer to a decision is given once.

    The key is made here, so that it is nowhere between approval and answer.

    Raises:
        NotFound: there never was one with this nonce.
        Expired: the answer was given, or the time is over.
    """
    row = await _find(session, nonce, now=now)
    if row.status is CliStatus.PENDING:
        return Polled(CliStatus.PENDING)
    if row.status is CliStatus.DONE or row.team_id is None:
        raise Expired("This login is over. Start again in the command line.")
    if row.status is CliStatus.DENIED:
        row.status = CliStatus.DONE
        return Polled(CliStatus.DENIED)
    row.status = CliStatus.DONE
    team = await session.get_one(Team, row.team_id)
    name = f"{row.client_name} on {row.hostname}" if row.hostname else row.client_name
    key, secret = await mint_key(session, team.id, name[:64], livemode=True, now=now)
    return Polled(CliStatus.APPROVED, secret, key.id, team)


async def forget_cli_logins(session: AsyncSession, *, now: datetime) -> None:
    await session.exec(delete(CliLogin).where(col(CliLogin.expires_at) < now - KEPT))


async def _find(session: AsyncSession, nonce: str, *, now: datetime) -> CliLogin:
    statement = select(CliLogin).where(CliLogin.nonce_hash == _hash(nonce)).with_for_update()
    row = (await session.exec(statement)).one_or_none() if _NONCE.fullmatch(nonce) else None
    if row is None:
        raise NotFound("There is no such login. Start again in the command line.")
    if row.expires_at <= now:
        raise Expired("This login has run out. Start again in the command line.")
    return row


def _hash(nonce: str) -> str:
    return hashlib.sha256(nonce.encode()).hexdigest()
