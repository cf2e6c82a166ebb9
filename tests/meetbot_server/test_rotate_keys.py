"""The operator changes the encryption key (D21)."""

from __future__ import annotations

import io

import pytest
from pydantic import SecretStr
from rich.console import Console

from core.accounts.models import Team
from core.accounts.service import create_team
from core.database import Database
from core.secrets import SecretBox, generate_key
from core.settings import Settings
from meetbot_server import sealing
from tests.support.clock import ManualClock

pytestmark = pytest.mark.integration


async def test_rotating_ends_the_need_for_the_old_key(
    database: Database, database_url: SecretStr, clock: ManualClock
) -> None:
    old, new = generate_key(), generate_key()
    async with database.begin() as session:
        team = await create_team(session, SecretBox([old]), "Acme", now=clock.now())
    settings = Settings(database_url=database_url, encryption_keys=(new, old))
    said = io.StringIO()

    assert sealing.show(await sealing.rotate(settings), Console(file=said, width=200))
    assert "may be removed" in said.getvalue()
    async with database.begin() as session:
        team = await session.get_one(Team, team.id)
    assert SecretBox([new]).open(team.webhook_secret)


async def test_what_no_key_opens_is_named_and_the_answer_is_no(
    database: Database, database_url: SecretStr, clock: ManualClock
) -> None:
    async with database.begin() as session:
        team = await create_team(session, SecretBox([generate_key()]), "Acme", now=clock.now())
    settings = Settings(database_url=database_url, encryption_keys=(generate_key(),))
    said = io.StringIO()

    assert not sealing.show(await sealing.rotate(settings), Console(file=said, width=200))
    assert team.id in said.getvalue()
