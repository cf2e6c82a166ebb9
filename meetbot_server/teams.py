"""Teams from the operator's side: make one, and show its secrets once."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr
from rich.console import Console
from sqlmodel import func, select

from core.accounts import service as accounts
from core.accounts.home import require_home
from core.accounts.models import Team
from core.clock import Clock
from core.database import Database
from core.errors import BadInput
from core.secrets import SecretBox
from core.settings import Settings


@dataclass(frozen=True)
class NewTeam:
    """A team and what is never to be had again."""

    id: str
    name: str
    live_key: SecretStr
    test_key: SecretStr
    webhook_secret: SecretStr


async def create(settings: Settings, clock: Clock, name: str) -> NewTeam:
    """Make a team with a live key, a test key and a webhook secret.

    Raises:
        BadInput: the name, or a missing setting.
        InvalidState: teams are made in another region.
        Unavailable: the database does not answer.
    """
    require_home(settings.identities)
    box = SecretBox(settings.encryption_keys)
    database = _database(settings)
    try:
        async with database.begin() as session:
            now = clock.now()
            team = await accounts.create_team(session, box, name, now=now)
            _, live = await accounts.mint_key(session, team.id, "first", livemode=True, now=now)
            _, test = await accounts.mint_key(session, team.id, "first", livemode=False, now=now)
            secret = accounts.webhook_secrets(team, box, now=now)[-1]
            return NewTeam(team.id, team.name, live, test, secret)
    finally:
        await database.close()


async def none_yet(settings: Settings) -> bool:
    """Whether this database has no team."""
    database = _database(settings)
    try:
        async with database.begin() as session:
            return (await session.exec(select(func.count()).select_from(Team))).one() == 0
    finally:
        await database.close()


def show(team: NewTeam, console: Console) -> None:
    """Print the secrets; nobody can print them again."""
    console.print(f"Team {team.name} ({team.id}). Keep these, they are shown once:")
    console.print(f"  MEETBOT_API_KEY (test)   {team.test_key.get_secret_value()}")
    console.print(f"  MEETBOT_API_KEY (live)   {team.live_key.get_secret_value()}")
    console.print(f"  MEETBOT_WEBHOOK_SECRET   {team.webhook_secret.get_secret_value()}")


def _database(settings: Settings) -> Database:
    if settings.database_url is None:
        raise BadInput("MEETBOT_DATABASE_URL is not set; start the stack with `make up` first.")
    return Database(settings.database_url)
