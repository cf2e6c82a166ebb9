"""Teams, people and keys from the operator's side: look at them, make keys, revoke keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts import service
from core.accounts.home import require_home
from core.accounts.keys import list_keys
from core.accounts.models import ApiKey, Membership, Team, User
from core.clock import Clock, rfc3339
from core.database import Database
from core.errors import BadInput, NotFound
from core.settings import Settings

# The newest ones; whoever has more looks into the database.
MOST_SHOWN: Final = 1_000
Rows = Sequence[Sequence[str]]


async def teams(settings: Settings) -> Rows:
    """Id, name, keys in use and when it was made, of every team, newest first."""
    alive = func.count(col(ApiKey.id)).filter(col(ApiKey.revoked_at).is_(None))
    statement = (
        select(Team.id, Team.name, alive, Team.created_at)
        .join(ApiKey, col(ApiKey.team_id) == Team.id, isouter=True)
        .group_by(col(Team.id))
        .order_by(col(Team.id).desc())
        .limit(MOST_SHOWN)
    )
    async with _session(settings) as session:
        found = (await session.exec(statement)).all()
    return [(id_, name, str(keys), _moment(at)) for id_, name, keys, at in found]


async def users(settings: Settings) -> Rows:
    """Id, address, team and when they came, of every person, newest first."""
    statement = (
        select(User.id, User.email, Membership.team_id, User.created_at)
        .join(Membership, col(Membership.user_id) == User.id, isouter=True)
        .order_by(col(User.id).desc())
        .limit(MOST_SHOWN)
    )
    async with _session(settings) as session:
        found = (await session.exec(statement)).all()
    return [(id_, email, team or "", _moment(at)) for id_, email, team, at in found]


async def keys(settings: Settings, team_id: str) -> Rows:
    """Id, name, prefix, when it was used last and revoked, of a team's keys, newest first.

    Raises:
        NotFound: no such team.
    """
    async with _session(settings) as session:
        if await session.get(Team, team_id) is None:
            raise NotFound(f"There is no team {team_id}; `meetbot-server teams` lists them.")
        found = await list_keys(session, team_id, None, limit=MOST_SHOWN)
    return [
        (row.id, row.name, row.prefix, _moment(row.last_used_at), _moment(row.revoked_at))
        for row in found
    ]


async def create_key(
    settings: Settings, clock: Clock, team_id: str, name: str, *, livemode: bool
) -> SecretStr:
    """A new key of a team; it is never to be had again.

    Raises:
        BadInput, NotFound: the name; no such team.
        InvalidState: keys are made in another region.
    """
    require_home(settings.identities)
    async with _session(settings) as session:
        _, key = await service.mint_key(session, team_id, name, livemode=livemode, now=clock.now())
        return key


async def revoke_key(settings: Settings, clock: Clock, key_id: str) -> None:
    """Stop new requests with a key, whichever team's it is.

    Raises:
        NotFound: no such key.
        InvalidState: keys are revoked in another region.
    """
    require_home(settings.identities)
    async with _session(settings) as session:
        row = await session.get(ApiKey, key_id)
        if row is None:
            raise NotFound(f"There is no key {key_id}; `meetbot-server keys TEAM` lists them.")
        await service.revoke_key(session, row.team_id, key_id, now=clock.now())


def show(titles: Sequence[str], rows: Rows, console: Console) -> None:
    """Print `rows` as a table."""
    table = Table(*titles, box=None)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if len(rows) == MOST_SHOWN:
        console.print(f"These are the newest {MOST_SHOWN}.")


def _moment(at: datetime | None) -> str:
    return rfc3339(at) if at is not None else ""


@asynccontextmanager
async def _session(settings: Settings) -> AsyncIterator[AsyncSession]:
    if settings.database_url is None:
        raise BadInput("MEETBOT_DATABASE_URL is not set; start the stack with `make up` first.")
    database = Database(settings.database_url)
    try:
        async with database.begin() as session:
            yield session
    finally:
        await database.close()
