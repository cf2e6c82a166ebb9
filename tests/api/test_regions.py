"""Two regions: identities are shared, jobs are not (RG-01, RG-04 to RG-06)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from alembic import command
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import create_app
from core.accounts import replication
from core.accounts.models import Team
from core.accounts.service import webhook_secrets
from core.clock import SystemClock
from core.database import Database, migration_config
from core.errors import InvalidState, Unavailable
from core.secrets import SecretBox, generate_key
from core.settings import IdentitySettings, Settings, StorageSettings
from meetbot_server import teams
from tests.api.conftest import MEET, LoggingDispatcher, client, public
from tests.support.postgres import TestServer, running_server

pytestmark = pytest.mark.integration

REGION = "us-east"
ARRIVES_SECONDS = 20


@dataclass
class Region:
    """An API of its own on a database of its own."""

    app: FastAPI
    settings: Settings

    def holder(self, key: SecretStr | str | None) -> httpx.AsyncClient:
        secret = key.get_secret_value() if isinstance(key, SecretStr) else key
        return client(httpx.ASGITransport(self.app, raise_app_exceptions=False), secret)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[TestServer, TestServer]]:
    """One at home, one elsewhere."""
    # The one that subscribes is stopped first: the other one waits for it.
    with running_server(wal_level="logical") as home, running_server() as elsewhere:
        yield home, elsewhere


@pytest.fixture
def databases(servers: tuple[TestServer, TestServer]) -> tuple[SecretStr, SecretStr]:
    """A new one on each server."""
    home, elsewhere = (server.url(server.create_database()) for server in servers)
    for url in (home, elsewhere):
        command.upgrade(migration_config(url), "head")
    return home, elsewhere


@pytest.fixture
async def regions(
    databases: tuple[SecretStr, SecretStr], tmp_path: Path
) -> AsyncIterator[tuple[Region, Region]]:
    here, there = databases
    base = Settings(
        data_dir=tmp_path,
        database_url=here,
        encryption_keys=(generate_key(),),
        storage=StorageSettings(link_secret=SecretStr("a secret for links")),
    )
    away = base.model_copy(
        update={
            "database_url": there,
            "region": REGION,
            "identities": IdentitySettings(home=False, home_url="https://home.example"),
        }
    )
    await replication.publish(here)
    await replication.subscribe(there, here, REGION)
    async with AsyncExitStack() as stack:
        # Else the one at home keeps what it would have to send.
        stack.push_async_callback(replication.unsubscribe, there, REGION)
        found = []
        for settings in (base, away):
            dispatcher = LoggingDispatcher()
            app = create_app(settings, dispatcher=lambda _, d=dispatcher: d, resolver=public)  # type: ignore[misc]
            await stack.enter_async_context(app.router.lifespan_context(app))
            found.append(Region(app, settings))
        yield found[0], found[1]


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Replication takes its time, and nobody says when it is done."""
    async with asyncio.timeout(ARRIVES_SECONDS):
        while not await holds():
            await asyncio.sleep(0.05)


async def test_a_key_made_at_home_works_everywhere_and_jobs_stay_where_they_are(
    regions: tuple[Region, Region],
) -> None:
    home, away = regions
    team = await teams.create(home.settings, SystemClock(), "Acme")
    async with home.holder(team.live_key) as here, away.holder(team.live_key) as there:

        async def taken() -> bool:
            return (await there.get("/api/v1/jobs")).status_code == 200

        await eventually(taken)
        ours = (await here.post("/api/v1/jobs", json={"meetingUrl": MEET})).json()
        theirs = (await there.post("/api/v1/jobs", json={"meetingUrl": MEET})).json()
        assert (ours["region"], theirs["region"]) == ("eu", REGION)
        assert (await there.get(f"/api/v1/jobs/{ours['id']}")).status_code == 404
        assert (await here.get(f"/api/v1/jobs/{theirs['id']}")).status_code == 404
        assert [one["id"] for one in (await there.get("/api/v1/jobs")).json()["data"]] == [
            theirs["id"]
        ]
        told = (await there.get("/api/v1/consumer")).json()
        assert (told["id"], told["region"]) == (team.id, REGION)

        async def credited() -> bool:
            left: float = (await there.get("/api/v1/consumer")).json()["creditRemainingUsd"]
            return left == 5.0

        await eventually(credited)

        # One secret everywhere (WH-30).
        assert away.settings.database_url is not None
        database = Database(away.settings.database_url)
        async with database.begin() as session:
            found = await session.get_one(Team, team.id)
        await database.close()
        box = SecretBox(away.settings.encryption_keys)
        secrets = webhook_secrets(found, box, now=SystemClock().now())
        assert secrets == (team.webhook_secret,)

        # A key that is made, and one that is revoked, by the API at home.
        made = (await here.post("/api/v1/keys", json={"name": "x", "mode": "live"})).json()
        async with away.holder(made["key"]) as with_new_key:

            async def arrived() -> bool:
                return (await with_new_key.get("/api/v1/jobs")).status_code == 200

            async def revoked() -> bool:
                return (await with_new_key.get("/api/v1/jobs")).status_code == 401

            await eventually(arrived)
            await here.delete(f"/api/v1/keys/{made['id']}")
            await eventually(revoked)
        assert await replication.arrived(away.settings.database_url, REGION)


async def test_where_identities_only_arrive_they_are_not_changed(
    regions: tuple[Region, Region],
) -> None:
    home, away = regions
    team = await teams.create(home.settings, SystemClock(), "Acme")
    async with away.holder(team.live_key) as there:

        async def taken() -> bool:
            return (await there.get("/api/v1/jobs")).status_code == 200

        await eventually(taken)
        key_id = (await there.get("/api/v1/consumer")).json()["keyId"]
        refused = [
            await there.post("/api/v1/keys", json={"name": "x", "mode": "live"}),
            await there.delete(f"/api/v1/keys/{key_id}"),
            await there.post("/auth/magic-link", json={"email": "ada@example.com"}),
            await there.post("/api/v1/cli-auth/init"),
            await there.get("/auth/google/start"),
        ]
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (409, "invalid_state")
            assert "https://home.example" in answer.json()["message"]
    with pytest.raises(InvalidState, match=r"home\.example"):
        await teams.create(away.settings, SystemClock(), "Other")


async def test_subscribing_again_is_no_error_and_a_database_with_teams_is_refused(
    regions: tuple[Region, Region], databases: tuple[SecretStr, SecretStr]
) -> None:
    here, there = databases
    await replication.publish(here)
    await replication.subscribe(there, here, REGION)
    await teams.create(regions[0].settings, SystemClock(), "Acme")
    with pytest.raises(InvalidState, match="of its own"):
        await replication.subscribe(here, there, "another")
    with pytest.raises(InvalidState, match="wal_level"):
        await replication.publish(there)


async def test_a_source_that_is_away_is_said_without_its_password(
    databases: tuple[SecretStr, SecretStr],
) -> None:
    with pytest.raises(Unavailable) as caught:
        await replication.publish(SecretStr("postgresql://u:a-password@127.0.0.1:1/none"))
    assert "a-password" not in str(caught.value)
