"""Logins of browsers: what a cookie holds, and what proves that a request is meant (AU-13)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr
from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import LoginSession, Team, User
from core.errors import Unauthorized

_TOKEN: Final = re.compile(r"mb_ses_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Login:
    """Who is logged in, and for which team they act."""

    user_id: str
    email: str
    team_id: str
    csrf_token: str


async def open_session(
    session: AsyncSession, user: User, team: Team, *, life: timedelta, now: datetime
) -> SecretStr:
    """What the cookie of a new login holds; only its hash is kept."""
    token = f"mb_ses_{secrets.token_urlsafe(32)}"
    row = LoginSession(
        token_hash=_hash(token),
        user_id=user.id,
        team_id=team.id,
        created_at=now,
        expires_at=now + life,
    )
    session.add(row)
    await session.flush()
    return SecretStr(token)


async def find_login(session: AsyncSession, token: str | None, *, now: datetime) -> Login:
    """Whose cookie `token` is.

    Raises:
        Unauthorized: there is none, or its login is over.
    """
    if token is None or not _TOKEN.fullmatch(token):
        raise Unauthorized("Log in first.")
    statement = (
        select(LoginSession, User)
        .join(User, col(LoginSession.user_id) == User.id)
        .where(LoginSession.token_hash == _hash(token), LoginSession.expires_at > now)
    )
    found = (await session.exec(statement)).one_or_none()
    if found is None:
        raise Unauthorized("Your login is over. Log in again.")
    row, user = found
    return Login(user.id, user.email, row.team_id, csrf_token(token))


async def close_session(session: AsyncSession, token: str) -> None:
    """Log out; nothing happens when that login is over already."""
    await session.exec(delete(LoginSession).where(col(LoginSession.token_hash) == _hash(token)))


async def forget_sessions(session: AsyncSession, *, now: datetime) -> None:
    """Remove logins that are over."""
    await session.exec(delete(LoginSession).where(col(LoginSession.expires_at) <= now))


def csrf_token(token: str) -> str:
    """What a page of ours knows of its session, and another site's page cannot know."""
    return hmac.new(token.encode(), b"meetbot csrf 1", "sha256").hexdigest()


def _hash(token: str) -> str:
    """A plain digest is enough for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
