"""Models and migrations say the same, and every migration can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    create_engine,
    inspect,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from core.database import migration_config
from core.tables import metadata
from tests.support.clock import START
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


@pytest.mark.timeout(240)
def test_rows_of_every_revision_outlive_the_way_to_the_newest_and_back(
    postgres: TestServer,
) -> None:
    """A row in each table as soon as it is there; on the way back every revision finds what it
    left."""
    name = postgres.create_database()
    config = migration_config(postgres.url(name))
    engine = engine_of(postgres, name)
    revisions = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]
    left: dict[str, dict[str, list[Any]]] = {}
    for revision in reversed(revisions):
        command.upgrade(config, revision)
        there = set(inspect(engine).get_table_names()) - {"alembic_version"}
        seed(engine, sorted(there - {table for before in left.values() for table in before}))
        left[revision] = rows(engine)
        assert all(left[revision].values()), "a table is empty"
    assert left[revisions[0]].keys() > set(metadata.tables)
    for revision in revisions[1:]:
        command.downgrade(config, revision)
        assert rows(engine) == left[revision], f"at {revision}"


def seed(engine: Engine, tables: Sequence[str]) -> None:
    """One row in each, with a value in every column; they need not refer to each other."""
    with engine.begin() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        for name in tables:
            table = Table(name, MetaData(), autoload_with=connection)
            # Numbers that the database gives are its own.
            values = {one.name: filler(one) for one in table.columns if one.identity is None}
            connection.execute(table.insert().values(values))


def filler(column: Column[Any]) -> Any:
    """Something that the column takes."""
    match column.type:
        case JSONB():
            return {"said": [column.name]}
        case Boolean():
            return True
        case Integer() | Numeric():
            return 7
        case DateTime():
            return START + timedelta(days=1)
        case LargeBinary():
            return column.name.encode()
        case _:
            return column.name[: getattr(column.type, "length", None)]


def rows(engine: Engine) -> dict[str, list[Any]]:
    """All rows of all tables; a column's place among the others does not matter."""
    found: dict[str, list[Any]] = {}
    with engine.connect() as connection:
        for name in sorted(inspect(connection).get_table_names()):
            table = Table(name, MetaData(), autoload_with=connection)
            found[name] = [dict(row) for row in connection.execute(table.select()).mappings()]
    return found
