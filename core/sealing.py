"""Which columns hold sealed secrets, and sealing them with the newest key (design.md D21)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, MetaData, Table, select, tuple_, update

from core.columns import SEALED
from core.database import Database
from core.errors import Unavailable
from core.secrets import SecretBox

BATCH: Final = 500


@dataclass(frozen=True)
class Resealed:
    """What was done to one column."""

    column: str
    changed: int
    # Sealed with the newest key already.
    fresh: int
    # Rows whose secret none of the keys opens.
    unreadable: tuple[str, ...]


def sealed_columns(metadata: MetaData) -> list[Column[Any]]:
    """Every column that was declared with `core.columns.sealed`."""
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if column.info.get(SEALED)
    ]


async def reseal(database: Database, box: SecretBox, metadata: MetaData) -> list[Resealed]:
    """Seal every secret with the newest key of `box`; the stack may run meanwhile.

    May be run again at any time, and after it was interrupted.

    Raises:
        Unavailable: the database does not answer.
    """
    return [await _column(database, box, column) for column in sealed_columns(metadata)]


async def _column(database: Database, box: SecretBox, column: Column[Any]) -> Resealed:
    changed, fresh, unreadable = 0, 0, []
    table = column.table
    assert isinstance(table, Table)  # noqa: S101 - columns of tables have tables
    async for identity, sealed in _rows(database, table, column):
        try:
            newer = box.reseal(sealed)
        except Unavailable:
            unreadable.append("/".join(map(str, identity)))
            continue
        if newer is None:
            fresh += 1
            continue
        keys = zip(table.primary_key.columns, identity, strict=True)
        # Whoever wrote another secret meanwhile used the newest key.
        statement = update(table).where(*(key == value for key, value in keys), column == sealed)
        async with database.begin() as session:
            await session.exec(statement.values({column.name: newer}))
        changed += 1
    return Resealed(f"{table.name}.{column.name}", changed, fresh, tuple(unreadable))


async def _rows(
    database: Database, table: Table, column: Column[Any]
) -> AsyncIterator[tuple[tuple[Any, ...], str]]:
    """Primary key and content, in batches, so that nothing is locked or held for long."""
    keys = tuple(table.primary_key.columns)
    last: tuple[Any, ...] | None = None
    while True:
        statement = select(*keys, column).where(column.is_not(None)).order_by(*keys).limit(BATCH)
        if last is not None:
            statement = statement.where(tuple_(*keys) > last)
        async with database.begin() as session:
            found = (await session.exec(statement)).all()  # type: ignore[call-overload]
        for row in found:
            yield tuple(row[:-1]), row[-1]
        if len(found) < BATCH:
            return
        last = tuple(found[-1][:-1])
