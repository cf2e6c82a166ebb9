"""Identities and usage in all regions: PostgreSQL replicates them (RG-06, RG-07).

The home publishes the tables of teams, people, keys, credit given, customers and cards; every
other region's database subscribes. Each region publishes the usage of its own jobs, and subscribes
to that of all others, so that a team's credit is counted once. Jobs and all else stay where they
are made; foreign keys to teams hold everywhere. Logins are made at home only. All regions need the
same encryption keys: webhook secrets arrive sealed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Table
from sqlmodel import SQLModel

from core.accounts.models import ApiKey, Membership, Team, User
from core.billing.models import CreditEntry, UsageEvent
from core.billing.stripe_models import BillingAccount, PaymentMethodSeen
from core.database import NETWORK, conninfo
from core.errors import InvalidState, Unavailable

PUBLICATION: Final = "meetbot_identities"
TABLES: Final = tuple(
    SQLModel.metadata.tables[str(model.__tablename__)]
    for model in (
        *(Team, User, Membership, ApiKey, CreditEntry),
        *(BillingAccount, PaymentMethodSeen),
    )
)
USAGE: Final = "meetbot_usage"
# Each region notes by itself when a key was used last.
LOCAL: Final = frozenset({"api_keys.last_used_at"})
STATEMENT_MS: Final = 60_000


async def publish(url: SecretStr) -> None:
    """Offer the identities of this database to others; again after a migration changes them.

    Raises:
        InvalidState: the server does not replicate logically; it says what to set.
        Unavailable: the database does not answer, or refuses.
    """
    async with _connected(url) as connection:
        await _require_logical(connection)
        await connection.execute(
            sql.SQL("{} PUBLICATION {} {} TABLE {}").format(
                sql.SQL("ALTER" if await _exists(connection, "publication") else "CREATE"),
                sql.Identifier(PUBLICATION),
                sql.SQL("SET" if await _exists(connection, "publication") else "FOR"),
                sql.SQL(", ").join(_published(table) for table in TABLES),
            )
        )


async def publish_usage(url: SecretStr, region: str) -> None:
    """Offer the usage of this region's jobs, and of no other's, to the other regions.

    Raises:
        InvalidState, Unavailable: as `publish`.
    """
    async with _connected(url) as connection:
        await _require_logical(connection)
        known = await _exists(connection, "publication", USAGE)
        # Rows of usage are only ever added; those that arrived here are not passed on.
        await connection.execute(
            sql.SQL("{} PUBLICATION {} {} TABLE {} WHERE (region = {})").format(
                sql.SQL("ALTER" if known else "CREATE"),
                sql.Identifier(USAGE),
                sql.SQL("SET" if known else "FOR"),
                sql.Identifier(str(UsageEvent.__tablename__)),
                sql.Literal(region),
            )
            + (sql.SQL("") if known else sql.SQL(" WITH (publish = 'insert')"))
        )


async def subscribe_usage(url: SecretStr, other: str, source: SecretStr, region: str) -> None:
    """Have the usage of the region `other` arrive here, what there is and what comes.

    Raises:
        Unavailable: one of the databases does not answer, or refuses.
    """
    name = _usage_from(other)
    async with _connected(url) as connection:
        if await _exists(connection, "subscription", name):
            return
        await connection.execute(
            sql.SQL(
                "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} WITH (slot_name = {})"
            ).format(
                sql.Identifier(name),
                sql.Literal(conninfo(source)),
                sql.Identifier(USAGE),
                sql.Identifier(f"{USAGE}_to_{_plain(region)}"),
            )
        )


async def subscribe(url: SecretStr, source: SecretStr, region: str) -> None:
    """Have the identities of `source` arrive in this database, from now on.

    Does nothing but look for new columns when it is subscribed already.

    Raises:
        InvalidState: this database has identities of its own.
        Unavailable: one of the databases does not answer, or refuses.
    """
    name = sql.Identifier(subscription(region))
    async with _connected(url) as connection:
        if await _exists(connection, "subscription", subscription(region)):
            await connection.execute(
                sql.SQL("ALTER SUBSCRIPTION {} REFRESH PUBLICATION").format(name)
            )
            return
        for table in TABLES:
            found = await connection.execute(
                sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table.name))
            )
            if await found.fetchone() is not None:
                raise InvalidState(
                    f"This database has {table.name} of its own; identities arrive in an empty "
                    "one only. Use a new database for this region."
                )
        await connection.execute(
            sql.SQL("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {}").format(
                name, sql.Literal(conninfo(source)), sql.Identifier(PUBLICATION)
            )
        )


async def unsubscribe(url: SecretStr, region: str, others: Iterable[str] = ()) -> None:
    """Let nothing arrive any more; what is here stays. The other regions forget about this one.

    Args:
        others: the regions from which usage arrives.

    Raises:
        Unavailable: one of the databases does not answer, or refuses.
    """
    async with _connected(url) as connection:
        for name in (subscription(region), *(_usage_from(other) for other in others)):
            await connection.execute(
                sql.SQL("DROP SUBSCRIPTION IF EXISTS {}").format(sql.Identifier(name))
            )


async def arrived(url: SecretStr) -> bool:
    """Whether all that was there at the beginning is here, of every region that is subscribed.

    Raises:
        Unavailable: the database does not answer.
    """
    async with _connected(url) as connection:
        found = await connection.execute(
            "SELECT bool_and(r.srsubstate = 'r') FROM pg_subscription_rel r "
            "JOIN pg_subscription s ON s.oid = r.srsubid WHERE s.subname LIKE 'meetbot\\_%'"
        )
        row = await found.fetchone()
        return row is not None and row[0] is True


def subscription(region: str) -> str:
    """What a region's subscription, and its slot at home, are called."""
    return f"{PUBLICATION}_{_plain(region)}"


def _usage_from(other: str) -> str:
    return f"{USAGE}_from_{_plain(other)}"


def _plain(region: str) -> str:
    """As part of a name of PostgreSQL's."""
    return region.replace("-", "_")


async def _require_logical(connection: psycopg.AsyncConnection[Any]) -> None:
    row = await (await connection.execute("SHOW wal_level")).fetchone()
    if row is None or row[0] != "logical":
        raise InvalidState(
            "This PostgreSQL server does not replicate logically. Set wal_level to logical "
            "in its configuration, start it again, and repeat this command."
        )


def _published(table: Table) -> sql.Composed:
    names = [column.name for column in table.columns]
    kept = [name for name in names if f"{table.name}.{name}" not in LOCAL]
    if kept == names:
        # All columns, those of later migrations too.
        return sql.SQL("{}").format(sql.Identifier(table.name))
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in kept)
    return sql.SQL("{} ({})").format(sql.Identifier(table.name), columns)


async def _exists(
    connection: psycopg.AsyncConnection[Any], kind: str, name: str = PUBLICATION
) -> bool:
    column = {"publication": "pubname", "subscription": "subname"}[kind]
    found = await connection.execute(
        sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(
            sql.Identifier(f"pg_{kind}"), sql.Identifier(column)
        ),
        [name],
    )
    return await found.fetchone() is not None


@asynccontextmanager
async def _connected(url: SecretStr) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Without a transaction around: PostgreSQL makes no subscription inside one."""
    try:
        connection = await psycopg.AsyncConnection.connect(
            conninfo(url),
            autocommit=True,
            options=f"-c statement_timeout={STATEMENT_MS}",
            **NETWORK,
        )
        async with connection:
            yield connection
    except psycopg.Error as exc:
        # Statements carry the source's password; the server's own words do not.
        raise Unavailable(f"PostgreSQL refused: {exc.diag.message_primary or exc}") from None
