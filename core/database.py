"""The one database: sessions, transactions, notifications and locks (design.md D2).

Service functions take the session first and never commit; the caller's `Database.begin()` does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from sqlalchemy import func
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import Unavailable

# What the listeners hear; the payload is a job id where nothing else is said.
COMMANDS_CHANNEL: Final = "meetbot_commands"
JOBS_CHANNEL: Final = "meetbot_jobs"
# A lease ended before its time, because its process is known to be dead.
LEASES_CHANNEL: Final = "meetbot_leases"
# The payload is a team's id: there is a new webhook of it.
DELIVERIES_CHANNEL: Final = "meetbot_deliveries"

CONNECT_SECONDS: Final = 5
# No statement of ours takes longer; a stuck one must not hold its locks for ever.
STATEMENT_MS: Final = 15_000
# A peer that vanished without a word is noticed within about 15 s.
NETWORK: Final[dict[str, Any]] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATING: Final = threading.Lock()


class Database:
    """One pool of connections. Make it once per process, close it at the end.

    Args:
        url: any PostgreSQL URL; the psycopg driver is used whatever it names.
        pool_size: connections kept; twice as many may be open for a moment.
    """

    def __init__(self, url: SecretStr, *, pool_size: int = 5) -> None:
        self._given = url
        self._url = make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
        self._engine: AsyncEngine = create_async_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=CONNECT_SECONDS,
            pool_pre_ping=True,
            # Errors and logs show statements without what was put into them (CV-15).
            hide_parameters=True,
            connect_args=NETWORK
            | {"options": f"-c statement_timeout={STATEMENT_MS} -c timezone=UTC"},
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction: committed when the block ends well, else rolled back.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with AsyncSession(self._engine, expire_on_commit=False) as session:
            with _translated():
                async with session.begin():
                    yield session

    async def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            Unavailable: it gives none.
        """
        async with self.begin() as session:
            await session.exec(select(1))

    async def listen(self, channel: str) -> AsyncGenerator[str, None]:
        """The payloads notified on `channel` from now on; an empty one first, once listening.

        Ends when the caller closes it. It holds one connection of its own.

        Raises:
            Unavailable: the connection was lost; start again, and look at the tables first.
        """
        try:
            connection = await psycopg.AsyncConnection.connect(
                conninfo(self._given), autocommit=True, **NETWORK
            )
            async with connection:
                await connection.execute(
                    psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(channel))
                )
                yield ""
                async for notice in connection.notifies():
                    yield notice.payload
        except psycopg.Error as exc:
            raise Unavailable(f"The database connection was lost: {exc}") from exc

    @asynccontextmanager
    async def exclusive(self, name: str) -> AsyncIterator[bool]:
        """Hold the lock `name` for the block, if nobody in any process holds it: yields whether.

        It ends with its connection, so a holder that must be alone asks again from time to time.

        Raises:
            Unavailable: the database cannot be reached.
        """
        key = func.hashtextextended(name, 0)
        with _translated():
            async with self._engine.connect() as connection:
                got = bool(await connection.scalar(select(func.pg_try_advisory_lock(key))))
                # The lock is the connection's; no transaction is kept open for it.
                await connection.commit()
                try:
                    yield got
                finally:
                    if got:
                        await connection.execute(select(func.pg_advisory_unlock(key)))

    async def close(self) -> None:
        await self._engine.dispose()


def conninfo(url: SecretStr) -> str:
    """`url` in the form that PostgreSQL's own programs take; it carries the password."""
    parts = make_url(url.get_secret_value())
    host = parts.query.get("host", parts.host)
    return make_conninfo(
        host=host if isinstance(host, str) or host is None else host[0],
        port=parts.port,
        user=parts.username,
        password=parts.password,
        dbname=parts.database,
    )


async def notify(session: AsyncSession, channel: str, payload: str) -> None:
    """Wake the listeners of `channel` when the session's transaction commits."""
    await session.exec(select(func.pg_notify(channel, payload)))


async def schema_revision(session: AsyncSession) -> str | None:
    """The revision of the schema that the database has; None when it has none."""
    connection = await session.connection()
    return await connection.run_sync(
        lambda sync: MigrationContext.configure(sync).get_current_revision()
    )


@cache
def newest_revision() -> str | None:
    """The revision that this version's tables are of."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


async def migrate(url: SecretStr, revision: str = "head") -> None:
    """Bring the schema to `revision`; does nothing when it is there.

    Raises:
        Unavailable: the database cannot be reached.
    """
    with _translated():
        await asyncio.to_thread(_upgrade, migration_config(url), revision)


def _upgrade(config: Config, revision: str) -> None:
    # Alembic keeps its context in module globals; other processes wait in the database.
    with _MIGRATING:
        command.upgrade(config, revision)


def migration_config(url: SecretStr) -> Config:
    """Alembic's configuration; the URL travels as an attribute, never into a file or a log."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = make_url(url.get_secret_value()).set(drivername="postgresql+psycopg")
    return config


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as exc:
        raise Unavailable(f"The database did not answer: {_cause(exc)}") from exc


def _cause(exc: Any) -> str:
    """The driver's own words, without the statement and its parameters."""
    return str(exc.orig if isinstance(exc, DBAPIError) else exc).strip()
