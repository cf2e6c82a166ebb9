"""One private PostgreSQL server per test session, and a fresh database in it on demand."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pydantic import SecretStr

from core.postgres import PrivatePostgres

# Nothing here outlives the session, so nothing has to reach the disk.
UNSAFE_AND_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class TestServer:
    """Makes databases, and empties them."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def create_database(self) -> str:
        """The name of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def empty(self, database: str, tables: Sequence[str]) -> None:
        """Remove all rows of `tables`."""
        names = sql.SQL(", ").join(sql.Identifier(table) for table in tables)
        with self._connect(database) as connection:
            connection.execute(sql.SQL("TRUNCATE {}").format(names))

    def _connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host=str(self._folder), user="postgres", dbname=database, autocommit=True
        )

    def url(self, database: str) -> SecretStr:
        return SecretStr(f"postgresql+psycopg://postgres@/{database}?host={self._folder}")


@contextmanager
def running_server(**options: str) -> Iterator[TestServer]:
    """The server, in a folder short enough for its socket, removed afterwards."""
    parent = Path(tempfile.mkdtemp(prefix="mbpg-"))
    server = PrivatePostgres(parent / "pg", UNSAFE_AND_QUICK | options)
    try:
        server.start()
        yield TestServer(parent / "pg")
    finally:
        server.stop()
        shutil.rmtree(parent, ignore_errors=True)
