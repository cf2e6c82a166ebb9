"""Logging in by a link in a mail (AU-14, AU-15)."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import delete, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.login_models import MagicLink
from core.errors import BadInput, Expired, Issue

LIFE: Final = timedelta(minutes=15)
DEFAULT_LANDING: Final = "/login"
# So long a used link is told from one that never was.
KEPT: Final = timedelta(days=1)
MOST_LANDING_CHARACTERS: Final = 500
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


async def make_link(
    session: AsyncSession, address: str, *, landing: str = DEFAULT_LANDING, now: datetime
) -> SecretStr:
    """The token of a link for `address` (see `people.normal_address`); only its hash is kept.

    Whether somebody has this address is not looked at, so nobody learns it from the answer or
    from its time.
    """
    token = secrets.token_urlsafe(32)
    session.add(
        MagicLink(token_hash=_hash(token), email=address, landing=landing, expires_at=now + LIFE)
    )
    await session.flush()
    return SecretStr(token)


async def use_link(session: AsyncSession, token: str, *, now: datetime) -> tuple[str, str]:
    """The address that `token` proves, and where its browser goes; it is good for nothing then.

    Raises:
        BadInput: it has not the form of a token.
        Expired: it was used, its time is over, or it never was.
    """
    if not _TOKEN.fullmatch(token):
        message = "This is not a whole login link; copy all of it from the mail."
        raise BadInput(message, [Issue(("token",), "invalid_token", message)])
    # One statement: of two that come at once, one changes the row.
    statement = (
        update(MagicLink)
        .where(
            col(MagicLink.token_hash) == _hash(token),
            col(MagicLink.used_at).is_(None),
            col(MagicLink.expires_at) > now,
        )
        .values(used_at=now)
        .returning(col(MagicLink.email), col(MagicLink.landing))
    )
    found = (await session.exec(statement)).one_or_none()
    if found is None:
        raise Expired("This login link was used or is too old. Ask for a new one.")
    return found[0], found[1]


async def forget_links(session: AsyncSession, *, now: datetime) -> None:
    await session.exec(delete(MagicLink).where(col(MagicLink.expires_at) < now - KEPT))


def own_path(text: str | None) -> str:
    """`text` if it is a path of ours, else the usual landing: a login leads to no other site."""
    landing = text or DEFAULT_LANDING
    parts = urlsplit(landing)
    safe = (
        landing.startswith("/")
        and not landing.startswith(("//", "/\\"))
        and not parts.scheme
        and not parts.netloc
        and landing.isprintable()
        and "\\" not in landing
        and len(landing) <= MOST_LANDING_CHARACTERS
    )
    return landing if safe else DEFAULT_LANDING


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
