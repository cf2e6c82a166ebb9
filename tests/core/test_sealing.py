"""Every sealed secret is sealed anew with the newest key (D21)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import (
    Boolean,
    DateTime,
    Enum,
    Integer,
    Numeric,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from core import sealing
from core.accounts.models import Team
from core.accounts.webhook_secret import rotate_webhook_secret
from core.columns import SEALED
from core.database import Database
from core.errors import Unavailable
from core.secrets import SecretBox, generate_key
from core.tables import metadata
from tests.support.clock import START
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

NEW_KEY = generate_key()


async def test_after_it_the_old_key_is_not_needed(
    book: JobBook, database: Database, encryption_key: SecretStr
) -> None:
    async with database.begin() as session:
        await rotate_webhook_secret(session, book.box, book.team_id, now=book.now)
    job = await book.add(secrets={"meetingPassword": SecretStr("a password")})
    async with database.begin() as session:
        before = book.box.open((await session.get_one(Team, book.team_id)).webhook_secret)

    both = SecretBox([NEW_KEY, encryption_key])
    done = await sealing.reseal(database, both, metadata)
    changed = {one.column: one.changed for one in done}
    assert changed["teams.webhook_secret"] == changed["teams.previous_webhook_secret"] == 1
    assert changed["jobs.secrets"] == 1
    assert not [one for one in done if one.unreadable]

    new_only = SecretBox([NEW_KEY])
    async with database.begin() as session:
        team = await session.get_one(Team, book.team_id)
        assert new_only.open(team.webhook_secret) == before
    secrets = (await book.read(job)).secrets
    assert secrets is not None
    assert "a password" in new_only.open(secrets).get_secret_value()
    again = await sealing.reseal(database, both, metadata)
    assert sum(one.changed for one in again) == 0
    assert sum(one.fresh for one in again) == 3


async def test_every_sealed_column_there_is_is_found(
    book: JobBook, database: Database, encryption_key: SecretStr
) -> None:
    """One row in each: whatever is declared later comes in by itself."""
    async with database.begin() as session:
        await session.exec(text("SET session_replication_role = replica"))  # type: ignore[call-overload]
        for column in sealing.sealed_columns(metadata):
            values = {one.name: _filler(one) for one in column.table.columns if not one.nullable}
            sealed = [one for one in column.table.columns if one.info.get(SEALED)]
            values |= {one.name: book.box.seal(SecretStr("marker")) for one in sealed}
            values |= {one.name: f"row-{column.name}" for one in column.table.primary_key.columns}
            await session.exec(insert(column.table).values(values))
    done = await sealing.reseal(database, SecretBox([NEW_KEY, encryption_key]), metadata)
    assert {one.column for one in done if one.changed} == {one.column for one in done}
    assert len(done) >= 3
    async with database.begin() as session:
        for column in sealing.sealed_columns(metadata):
            rows = (await session.exec(select(column).where(column.is_not(None)))).scalars().all()  # type: ignore[call-overload]
            for one in rows:
                SecretBox([NEW_KEY]).open(one)


def _filler(column: Any) -> Any:
    """Something that the column takes."""
    match column.type:
        case JSONB():
            return {}
        case Enum() as kind:
            return kind.enums[0] if kind.enum_class is None else next(iter(kind.enum_class))
        case Boolean():
            return False
        case Integer() | Numeric():
            return 1
        case DateTime():
            return START + timedelta(days=1)
        case _:
            return "x"


async def test_what_no_key_opens_is_named_and_left_alone(book: JobBook, database: Database) -> None:
    done = await sealing.reseal(database, SecretBox([NEW_KEY]), metadata)
    lost = {one.column: one.unreadable for one in done if one.unreadable}
    assert lost == {"teams.webhook_secret": (book.team_id,)}
    async with database.begin() as session:
        team = await session.get_one(Team, book.team_id)
    assert book.box.open(team.webhook_secret)
    with pytest.raises(Unavailable):
        SecretBox([NEW_KEY]).open(team.webhook_secret)


async def test_many_rows_are_gone_through_in_batches(
    book: JobBook, database: Database, encryption_key: SecretStr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "BATCH", 2)
    for number in range(5):
        await book.add(secrets={"meetingPassword": SecretStr(str(number))})
    done = await sealing.reseal(database, SecretBox([NEW_KEY, encryption_key]), metadata)
    assert {one.column: one.changed for one in done}["jobs.secrets"] == 5


def test_the_models_say_which_columns_are_sealed() -> None:
    names = {f"{one.table.name}.{one.name}" for one in sealing.sealed_columns(metadata)}
    assert names >= {
        *("teams.webhook_secret", "teams.previous_webhook_secret"),
        *("jobs.secrets", "idempotent_requests.answer"),
    }
    assert inspect(Team).local_table in metadata.sorted_tables


async def test_a_sealed_secret_in_a_column_that_is_not_declared_is_noticed(book: JobBook) -> None:
    """By every test that writes one (tests/support/sealed.py)."""
    async with book.database.begin() as session:
        team = await session.get_one(Team, book.team_id)
        name, team.name = team.name, book.box.seal(SecretStr("x"))
        with pytest.raises(AssertionError, match=r"teams\.name"):
            await session.flush()
        team.name = name
