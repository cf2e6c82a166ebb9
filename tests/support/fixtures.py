"""Fixtures that tests of several packages share: a database, keys for secrets, a clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from alembic import command
from pydantic import SecretStr

from core.database import Database, migration_config
from core.secrets import SecretBox, generate_key
from core.settings import PrefectSettings
from core.tables import metadata
from tests.support.clock import ManualClock
from tests.support.localstripe import running_localstripe
from tests.support.postgres import TestServer, running_server
from tests.support.prefect_server import running_prefect_server
from tests.support.sealed import watch
from tests.support.stripe_server import StripeServer, running_stripe

watch()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command that sets up logging leaves a handler on a stream that pytest closes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """The one private server of this session."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def prefect_server(postgres: TestServer) -> Iterator[PrefectSettings]:
    """One Prefect server for all tests that bring their own deployments."""
    with running_prefect_server(postgres) as settings:
        yield settings


@pytest.fixture(scope="session")
def migrated_database(postgres: TestServer) -> str:
    """The name of a database at the newest schema, shared by the tests of this session."""
    name = postgres.create_database()
    command.upgrade(migration_config(postgres.url(name)), "head")
    return name


@pytest.fixture
async def database_url(postgres: TestServer, migrated_database: str) -> SecretStr:
    """A database of the newest schema, with nothing in it."""
    # In a thread: a task that the last test left in a transaction must be able to end it.
    await asyncio.to_thread(postgres.empty, migrated_database, tuple(metadata.tables))
    return postgres.url(migrated_database)


@pytest.fixture
async def database(database_url: SecretStr) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def encryption_key() -> SecretStr:
    return generate_key()


@pytest.fixture
def box(encryption_key: SecretStr) -> SecretBox:
    return SecretBox([encryption_key])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def localstripe() -> Iterator[str]:
    """The one localstripe of this session; its origin."""
    with running_localstripe() as origin:
        yield origin


@pytest.fixture
async def stripe_server(clock: ManualClock, localstripe: str) -> AsyncIterator[StripeServer]:
    """Stripe on loopback, with nothing in it."""
    async with running_stripe(clock, localstripe) as server:
        yield server
