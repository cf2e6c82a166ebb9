"""Listening to a team's webhooks, over a real socket (API-36, WH-35)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlmodel import func, select

from api.app import create_app
from core.accounts.models import Team
from core.accounts.service import create_team, mint_key, revoke_key, webhook_secrets
from core.database import Database
from core.jobs.lifecycle import Status
from core.jobs.rows import locked_job
from core.settings import Settings
from core.webhooks.events import EventName
from core.webhooks.outbox import emit
from core.webhooks.signing import verify
from tests.api.conftest import Api, LoggingDispatcher, key_of, public
from tests.support.api_server import running_api
from tests.support.jobs import JobBook
from tests.support.postgres import TestServer

pytestmark = pytest.mark.integration


@dataclass
class Heard:
    id: str
    name: str
    data: dict[str, Any]


@dataclass
class Listener:
    lines: AsyncIterator[str]

    async def next(self) -> Heard:
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for line in self.lines:
                if line == "" and "data" in fields:
                    return Heard(fields["id"], fields["event"], json.loads(fields["data"]))
                name, _, value = line.partition(": ")
                fields[name] = value
        raise EOFError


@asynccontextmanager
async def listening(origin: str, key: str, last_id: str | None = None) -> AsyncIterator[Listener]:
    headers = {"authorization": f"Bearer {key}"}
    if last_id is not None:
        headers["last-event-id"] = last_id
    async with (
        httpx.AsyncClient(base_url=origin, headers=headers, timeout=10, trust_env=False) as client,
        client.stream("GET", "/api/v1/webhooks/stream") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Listener(answer.aiter_lines())


@pytest.fixture
async def origin(api: Api) -> AsyncIterator[str]:
    async with running_api(api.app) as address:
        yield address


async def secret_of(api: Api) -> Any:
    async with api.book.database.begin() as session:
        team = await session.get_one(Team, api.book.team_id)
    return webhook_secrets(team, api.book.box, now=api.book.now)[-1]


async def test_what_is_heard_verifies_behind_the_forwarder(api: Api, origin: str) -> None:
    """WH-35: method, headers and raw body, unmodified."""
    async with listening(origin, await key_of(api.book, livemode=True)) as listener:
        ready = await listener.next()
        assert (ready.name, ready.data) == ("ready", {"livemode": True})
        job = await api.live_job(Status.JOINING, labels={"who": "Zoë „x“ \u2028 \\ 😀"})
        heard = await listener.next()
    assert heard.name == "delivery"
    assert (heard.data["method"], heard.data["jobId"]) == ("POST", job.id)
    assert heard.data["url"] == "https://hooks.example/meetbot"
    body, headers = heard.data["body"].encode(), heard.data["headers"]
    assert verify(body, headers["x-meetbot-signature"], await secret_of(api))
    assert headers["content-type"] == "application/json"
    assert headers["x-meetbot-delivery"] == heard.data["deliveryId"] == json.loads(body)["id"]
    assert json.loads(body)["attempt"] == 1


async def test_jobs_without_an_address_are_heard_too(api: Api, origin: str) -> None:
    """API-64: whoever listens wants to see what happens, whatever the job was told."""
    async with listening(origin, await key_of(api.book, livemode=True)) as listener:
        await listener.next()
        quiet = {"onFinalize": "https://hooks.example/x", "version": 2, "events": ["job.failed"]}
        for webhooks in (None, quiet):
            job = await api.live_job(Status.JOINING, webhooks=webhooks)
            heard = await listener.next()
            assert (heard.data["jobId"], heard.data["url"]) == (job.id, None)
            assert heard.data["event"] == "job.status_changed"


async def test_a_resend_is_heard(api: Api, origin: str) -> None:
    async with listening(origin, await key_of(api.book, livemode=True)) as listener:
        await listener.next()
        await api.live_job(Status.JOINING)
        first = (await listener.next()).data["deliveryId"]
        await api.live.post(f"/api/v1/webhooks/deliveries/{first}/resend")
        body = json.loads((await listener.next()).data["body"])
    assert (body["resendOf"], body["attempt"]) == (first, 1)


async def test_nothing_is_lost_between_two_connections(
    api: Api, origin: str, settings: Settings
) -> None:
    """Nor between two processes: the second connection is another one's."""
    key = await key_of(api.book, livemode=True)
    async with listening(origin, key) as listener:
        await listener.next()
        await api.live_job(Status.JOINING)
        seen = await listener.next()
    missed = [await api.live_job(Status.JOINING) for _ in range(3)]
    other = create_app(
        settings, clock=api.book.clock, dispatcher=lambda _: LoggingDispatcher(), resolver=public
    )
    async with (
        other.router.lifespan_context(other),
        running_api(other) as elsewhere,
        listening(elsewhere, key, seen.id) as listener,
    ):
        assert (await listener.next()).name == "ready"
        heard = [(await listener.next()).data["jobId"] for _ in missed]
        assert heard == [job.id for job in missed]
        # And what comes now is heard there as well.
        job = await api.live_job(Status.JOINING)
        assert (await listener.next()).data["jobId"] == job.id


async def test_what_commits_late_is_not_passed_over(api: Api, origin: str) -> None:
    """A number given earlier may become visible later; both are heard, in one order for all."""
    slow, quick = await api.book.add(), await api.book.add()
    key = await key_of(api.book, livemode=True)
    async with listening(origin, key) as listener:
        await listener.next()
        async with api.book.database.begin() as session:
            late = await emit(
                session,
                await locked_job(session, slow.id),
                EventName.STATUS_CHANGED,
                {},
                now=api.book.now,
            )
            await api.book.bring_to(quick, Status.JOINING)
        heard = [await listener.next(), await listener.next()]
    assert {one.data["jobId"] for one in heard} == {slow.id, quick.id}
    assert late.id in {one.data["deliveryId"] for one in heard}
    async with listening(origin, key, heard[0].id) as listener:
        await listener.next()
        assert (await listener.next()).id == heard[1].id


async def test_long_transactions_of_other_databases_hold_nothing_up(
    api: Api, origin: str, postgres: TestServer
) -> None:
    """Prefect's database is on the same server."""
    elsewhere = Database(postgres.url(postgres.create_database()))
    async with (
        listening(origin, await key_of(api.book, livemode=True)) as listener,
        elsewhere.begin() as session,
    ):
        await session.exec(select(func.pg_current_xact_id()))
        await listener.next()
        job = await api.live_job(Status.JOINING)
        assert (await listener.next()).data["jobId"] == job.id
    await elsewhere.close()


async def test_others_are_not_heard(api: Api, origin: str) -> None:
    """CV-11, CV-12."""
    async with api.book.database.begin() as session:
        other = await create_team(session, api.book.box, "Strangers", now=api.book.now)
    strangers = JobBook(api.book.database, api.book.box, api.book.clock, other.id)
    async with listening(origin, await key_of(api.book, livemode=True)) as listener:
        await listener.next()
        await strangers.bring_to(await strangers.add(), Status.JOINING)
        await api.live_job(Status.JOINING, livemode=False)
        ours = await api.live_job(Status.JOINING)
        assert (await listener.next()).data["jobId"] == ours.id


async def test_a_revoked_key_hears_nothing_more(api: Api, origin: str) -> None:
    """AU-05."""
    async with api.book.database.begin() as session:
        row, key = await mint_key(session, api.book.team_id, "x", livemode=True, now=api.book.now)
    async with listening(origin, key.get_secret_value()) as listener:
        await listener.next()
        async with api.book.database.begin() as session:
            await revoke_key(session, api.book.team_id, row.id, now=api.book.now)
        await api.live_job(Status.JOINING)
        with pytest.raises(EOFError):
            await listener.next()


async def test_only_keys_listen(api: Api) -> None:
    assert (await api.anonymous.get("/api/v1/webhooks/stream")).status_code == 401
