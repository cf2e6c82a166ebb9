"""One private PostgreSQL server per test session, and a fresh database in it on demand.

And one that is reached by a URL with a password, as an operator's own is (D2).
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy.engine import URL, make_url

from core.postgres import PrivatePostgres
from tests.support.ports import free_port

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
        # A server that is not ours alone may have other sessions' databases.
        name = f"meetbot_test_{os.getpid()}_{next(self._numbers)}"
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


class UrlServer(TestServer):
    """The same for a server that somebody else runs: nothing but its URL is known."""

    def __init__(self, url: SecretStr) -> None:
        super().__init__(Path())
        self._url = make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
        self._made: list[str] = []

    def create_database(self) -> str:
        name = super().create_database()
        self._made.append(name)
        return name

    def drop_all(self) -> None:
        """Leave the server as it was."""
        with self._connect("postgres") as connection:
            for name in self._made:
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                connection.execute(drop.format(sql.Identifier(name)))

    def url(self, database: str) -> SecretStr:
        return SecretStr(self._url.set(database=database).render_as_string(hide_password=False))

    def _connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        url = self._url
        return psycopg.connect(
            host=url.host,
            port=url.port,
            user=url.username,
            password=url.password,
            dbname=database,
            autocommit=True,
        )


@contextmanager
def server_by_url() -> Iterator[UrlServer]:
    """The server of MEETBOT_TEST_DATABASE_URL, else one on loopback that wants a password."""
    given = os.environ.get("MEETBOT_TEST_DATABASE_URL")  # noqa: TID251 - of the tests, not of ours
    if given is not None:
        server = UrlServer(SecretStr(given))
        try:
            yield server
        finally:
            server.drop_all()
        return
    parent, port = Path(tempfile.mkdtemp(prefix="mbpg-")), free_port()
    told = {"listen_addresses": "127.0.0.1", "port": str(port)}
    private = PrivatePostgres(parent / "pg", UNSAFE_AND_QUICK | told)
    try:
        private.start()
        with psycopg.connect(
            host=str(parent / "pg"), port=port, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute("CREATE ROLE tester SUPERUSER LOGIN PASSWORD 'a password: 100%'")
            (parent / "pg" / "pg_hba.conf").write_text(
                "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
            )
            connection.execute("SELECT pg_reload_conf()")
        url = URL.create("postgresql", "tester", "a password: 100%", "127.0.0.1", port, "postgres")
        yield UrlServer(SecretStr(url.render_as_string(hide_password=False)))
    finally:
        private.stop()
        shutil.rmtree(parent, ignore_errors=True)
