"""What is proven on the private server holds on one that is given by URL (D2, AR-14).

The tests of the database, of its migrations, and of what leans on it most: locks, claims, lists.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic import command

from core.database import migration_config
from tests.core.jobs.test_leases import *  # noqa: F403
from tests.core.jobs.test_listing import *  # noqa: F403
from tests.core.test_database import *  # noqa: F403
from tests.core.test_migrations import (  # noqa: F401
    test_every_migration_can_be_undone_and_done_again,
    test_the_newest_schema_is_that_of_the_models,
)
from tests.support.postgres import TestServer, server_by_url

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def postgres() -> Iterator[TestServer]:
    with server_by_url() as server:
        yield server


@pytest.fixture(scope="module")
def migrated_database(postgres: TestServer) -> str:
    name = postgres.create_database()
    command.upgrade(migration_config(postgres.url(name)), "head")
    return name
