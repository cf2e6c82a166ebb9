"""The operator looks at teams, people and keys (AU-03, AU-05)."""

from __future__ import annotations

import io

import pytest
from pydantic import SecretStr
from rich.console import Console

from core.accounts import service
from core.accounts.people import sign_in
from core.database import Database
from core.errors import BadInput, NotFound, Unauthorized
from core.secrets import SecretBox
from core.settings import Settings
from meetbot_server import accounts
from tests.support.clock import ManualClock

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(database_url: SecretStr, encryption_key: SecretStr) -> Settings:
    return Settings(database_url=database_url, encryption_keys=(encryption_key,))


@pytest.fixture
async def team_id(database: Database, box: SecretBox, clock: ManualClock) -> str:
    async with database.begin() as session:
        _, team = await sign_in(session, box, "ada@example.com", now=clock.now())
    return team.id


async def test_a_key_is_made_listed_and_revoked(
    settings: Settings, database: Database, clock: ManualClock, team_id: str
) -> None:
    key = await accounts.create_key(settings, clock, team_id, "ci", livemode=False)
    bearer = f"Bearer {key.get_secret_value()}"
    async with database.begin() as session:
        assert (await service.authenticate(session, bearer, now=clock.now())).livemode is False
    listed = await accounts.keys(settings, team_id)
    assert [row[1] for row in listed] == ["ci"]
    assert key.get_secret_value() not in str(listed)
    assert [row[2] for row in await accounts.teams(settings)] == ["1"]

    await accounts.revoke_key(settings, clock, listed[0][0])
    async with database.begin() as session:
        with pytest.raises(Unauthorized):
            await service.authenticate(session, bearer, now=clock.now())
    assert (await accounts.keys(settings, team_id))[0][4] == "2026-05-09T14:00:00.000Z"
    assert [row[2] for row in await accounts.teams(settings)] == ["0"]


async def test_people_are_listed_with_their_team(settings: Settings, team_id: str) -> None:
    rows = await accounts.users(settings)
    assert [row[1:3] for row in rows] == [("ada@example.com", team_id)]
    said = io.StringIO()
    accounts.show(("user", "e-mail", "team", "since"), rows, Console(file=said, width=200))
    assert "ada@example.com" in said.getvalue()


async def test_what_is_not_there_is_said(settings: Settings, clock: ManualClock) -> None:
    with pytest.raises(NotFound, match="meetbot-server teams"):
        await accounts.keys(settings, "team_none")
    with pytest.raises(NotFound, match="team_none"):
        await accounts.create_key(settings, clock, "team_none", "ci", livemode=True)
    with pytest.raises(NotFound, match="key_none"):
        await accounts.revoke_key(settings, clock, "key_none")
    with pytest.raises(BadInput, match="MEETBOT_DATABASE_URL"):
        await accounts.teams(Settings())
