"""Models and migrations say the same, and every migration can be undone."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from core.database import migration_config
from core.tables import metadata
from tests.support.postgres import TestServer

pytestmark = pytest.mark.integration


def engine_of(server: TestServer, name: str) -> Engine:
    return create_engine(server.url(name).get_secret_value(), poolclass=NullPool)


def test_the_newest_schema_is_that_of_the_models(
    postgres: TestServer, migrated_database: str
) -> None:
    with engine_of(postgres, migrated_database).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_every_migration_can_be_undone_and_done_again(postgres: TestServer) -> None:
    name = postgres.create_database()
    config = migration_config(postgres.url(name))
    command.upgrade(config, "head")
    for _ in ScriptDirectory.from_config(config).walk_revisions():
        command.downgrade(config, "-1")
    assert inspect(engine_of(postgres, name)).get_table_names() == ["alembic_version"]
    command.upgrade(config, "head")
    assert set(inspect(engine_of(postgres, name)).get_table_names()) > set(metadata.tables)
