"""Two regions: identities, cards and usage are shared, jobs are not (RG-01, RG-04 to RG-07)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
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
from core.billing import credit, gate
from core.billing.audit import Audit, check_team
from core.billing.customers import Customers
from core.billing.payments import NoPayments
from core.billing.stripe_models import BillingAccount, PaymentMethodSeen
from core.clock import SystemClock
from core.database import Database, migration_config
from core.errors import InvalidState, NotFound, Unavailable
from core.prices import PriceList
from core.secrets import SecretBox, generate_key
from core.settings import IdentitySettings, Settings, StorageSettings
from core.storage.local import LocalStorage
from core.storage.opening import Storages
from meetbot_server import teams
from tests.api.conftest import MEET, LoggingDispatcher, client, public
from tests.support.billing import record
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.postgres import TestServer, running_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

HOME = "eu"
REGION = "us-east"
# Of a machine that is busy with other tests.
ARRIVES_SECONDS = 90


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
    with (
        running_server(wal_level="logical") as home,
        running_server(wal_level="logical") as elsewhere,
    ):
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
    async with AsyncExitStack() as stack:
        # Else each keeps what it would have to send.
        stack.push_async_callback(replication.unsubscribe, here, HOME, [REGION])
        stack.push_async_callback(replication.unsubscribe, there, REGION, [HOME])
        await replication.publish(here)
        await replication.publish_usage(here, HOME)
        await replication.publish_usage(there, REGION)
        await replication.subscribe(there, here, REGION)
        await replication.subscribe_usage(there, HOME, here, REGION)
        await replication.subscribe_usage(here, REGION, there, HOME)
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
        url = away.settings.database_url
        await eventually(lambda: replication.arrived(url))


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


@dataclass
class Till:
    """What a region knows of a team's money."""

    book: JobBook
    customers: Customers

    @classmethod
    def of(cls, region: Region, database: Database, team_id: str, *, home: bool) -> Till:
        clock, box = ManualClock(), SecretBox(region.settings.encryption_keys)
        customers = Customers(database, NoPayments(), clock, PriceList(), home=home)
        return cls(JobBook(database, box, clock, team_id), customers)

    async def credit(self) -> Decimal:
        async with self.book.database.begin() as session:
            return await credit.remaining(session, self.book.team_id)

    async def may_dispatch(self) -> bool:
        async with self.book.database.begin() as session:
            return await gate.may_dispatch(session, self.book.team_id)

    async def audit(self, storage: Path) -> Audit:
        operators = LocalStorage(storage, files_url="http://f", link_secret=SecretStr("s"))
        database = self.book.database
        storages = Storages(operators, database, self.book.box, ())
        return await check_team(database, storages, self.book.team_id, PriceList())


@pytest.fixture
async def tills(regions: tuple[Region, Region]) -> AsyncIterator[tuple[Till, Till]]:
    """Of one team, at home and elsewhere."""
    home, away = regions
    team = await teams.create(home.settings, SystemClock(), "Acme")
    assert home.settings.database_url is not None
    assert away.settings.database_url is not None
    here, there = Database(home.settings.database_url), Database(away.settings.database_url)
    found = Till.of(home, here, team.id, home=True), Till.of(away, there, team.id, home=False)

    async def known() -> bool:
        """Tables arrive one by one, in any order."""
        async with there.begin() as session:
            team_there = await session.get(Team, team.id)
        return team_there is not None and await found[1].credit() == Decimal("5.000")

    await eventually(known)
    yield found
    await here.close()
    await there.close()


async def test_a_teams_credit_is_good_once_and_its_card_is_good_everywhere(
    tills: tuple[Till, Till], tmp_path: Path
) -> None:
    """RG-07: one Stripe account; the gate of each region counts the usage of all."""
    home, away = tills
    team_id = home.book.team_id
    await record(away.book, 40_000, region=REGION)
    await record(home.book, 20_004, region=HOME)

    async def spent() -> bool:
        return {await home.credit(), await away.credit()} == {Decimal(0)}

    await eventually(spent)
    assert not await home.may_dispatch()
    assert not await away.may_dispatch()
    for till, elsewhere in ((home, "3.333"), (away, "1.667")):
        found = await till.audit(tmp_path)
        assert (found.differences, found.elsewhere_usd) == ([], Decimal(elsewhere))
        assert (found.jobs, found.remaining_usd) == (1, Decimal(0))

    with pytest.raises(NotFound, match="home region"):
        await away.customers.ensure(team_id)
    account = BillingAccount(team_id=team_id, customer_id="cus_1", subscription_id="sub_1")
    async with home.book.database.begin() as session:
        session.add(account)
        session.add(PaymentMethodSeen(id="pm_1", customer_id="cus_1"))
    await eventually(away.may_dispatch)
    assert (await away.customers.ensure(team_id)).customer_id == "cus_1"


async def test_stripe_talks_to_the_home_region_only(regions: tuple[Region, Region]) -> None:
    """RG-07: elsewhere its events would be of rows that only arrive."""
    _, away = regions
    async with away.holder(None) as there:
        refused = await there.post("/webhooks/stripe", content=b"{}")
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_state")


async def test_subscribing_again_is_no_error_and_a_database_with_teams_is_refused(
    regions: tuple[Region, Region],
    databases: tuple[SecretStr, SecretStr],
    postgres: TestServer,
) -> None:
    here, there = databases
    await replication.publish(here)
    await replication.publish_usage(here, HOME)
    await replication.subscribe(there, here, REGION)
    await replication.subscribe_usage(there, HOME, here, REGION)
    await teams.create(regions[0].settings, SystemClock(), "Acme")
    with pytest.raises(InvalidState, match="of its own"):
        await replication.subscribe(here, there, "another")
    plain = postgres.url(postgres.create_database())
    for offer in (replication.publish(plain), replication.publish_usage(plain, REGION)):
        with pytest.raises(InvalidState, match="wal_level"):
            await offer


async def test_a_source_that_is_away_is_said_without_its_password(
    databases: tuple[SecretStr, SecretStr],
) -> None:
    with pytest.raises(Unavailable) as caught:
        await replication.publish(SecretStr("postgresql://u:a-password@127.0.0.1:1/none"))
    assert "a-password" not in str(caught.value)
