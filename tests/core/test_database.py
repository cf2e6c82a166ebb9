"""Transactions, notifications, locks, and what happens when there is no server."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr
from sqlmodel import col, select

from core.accounts.models import Team
from core.database import Database, migrate, notify
from core.errors import Unavailable
from tests.support.jobs import JobBook
from tests.support.postgres import TestServer

pytestmark = pytest.mark.integration


async def test_a_failing_block_leaves_no_trace(book: JobBook, database: Database) -> None:
    async def change_and_fail() -> None:
        async with database.begin() as session:
            (await session.get_one(Team, book.team_id)).name = "Changed"
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await change_and_fail()
    async with database.begin() as session:
        names = (await session.exec(select(col(Team.name)))).all()
    assert list(names) == ["Acme"]


async def notify_and_fail(database: Database) -> None:
    async with database.begin() as session:
        await notify(session, "news", "rolled back")
        raise RuntimeError


async def test_listeners_hear_what_was_committed_and_nothing_else(database: Database) -> None:
    heard: list[str] = []
    ready = asyncio.Event()

    async def listen() -> None:
        async for payload in database.listen("news"):
            heard.append(payload)
            ready.set()
            if payload == "last":
                return

    listening = asyncio.create_task(listen())
    await asyncio.wait_for(ready.wait(), 5)
    with pytest.raises(RuntimeError):
        await notify_and_fail(database)
    for payload in ("first", "last"):
        async with database.begin() as session:
            await notify(session, "news", payload)
    await asyncio.wait_for(listening, 5)
    assert heard == ["", "first", "last"]


async def test_only_one_holds_a_lock_at_a_time(database: Database) -> None:
    async with (
        database.exclusive("watch") as first,
        database.exclusive("watch") as second,
        database.exclusive("other") as other,
    ):
        assert (first, second, other) == (True, False, True)
    async with database.exclusive("watch") as again:
        assert again


async def test_without_a_server_the_error_says_so(postgres: TestServer) -> None:
    nowhere = Database(SecretStr("postgresql://postgres@127.0.0.1:1/none"))
    with pytest.raises(Unavailable, match="did not answer"):
        await nowhere.ping()
    with pytest.raises(Unavailable, match="lost"):
        await anext(nowhere.listen("news"))
    await nowhere.close()


async def test_migrating_twice_is_no_error(postgres: TestServer) -> None:
    url = postgres.url(postgres.create_database())
    await asyncio.gather(migrate(url), migrate(url))
    await migrate(url)
    database = Database(url)
    await database.ping()
    await database.close()
