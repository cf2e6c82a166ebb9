"""Teams, keys and who a bearer is (AU-01 to AU-05, AU-10)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from core.accounts import service
from core.accounts.models import ApiKey, Team
from core.database import Database
from core.errors import BadInput, NotFound, Unauthorized
from core.secrets import SecretBox
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


async def minted(book: JobBook, *, livemode: bool = True) -> tuple[ApiKey, str]:
    async with book.database.begin() as session:
        row, key = await service.mint_key(
            session, book.team_id, "ci", livemode=livemode, now=book.now
        )
    return row, key.get_secret_value()


async def caller(book: JobBook, bearer: str | None) -> service.Caller:
    async with book.database.begin() as session:
        return await service.authenticate(session, bearer, now=book.now)


@pytest.mark.parametrize(("livemode", "mode"), [(True, "live"), (False, "test")])
async def test_a_key_has_the_promised_form_and_speaks_for_its_team(
    book: JobBook, livemode: bool, mode: str
) -> None:
    """AU-01, AU-02, CV-12."""
    row, key = await minted(book, livemode=livemode)
    assert re.fullmatch(rf"mb_{mode}_[A-Za-z0-9]{{24}}", key)
    assert key.startswith(row.prefix)
    assert await caller(book, f"Bearer {key}") == service.Caller(book.team_id, row.id, livemode)


async def test_the_database_holds_neither_key_nor_secret(book: JobBook) -> None:
    """AU-03, AU-17."""
    _, key = await minted(book)
    async with book.database.begin() as session:
        team = await session.get_one(Team, book.team_id)
        secret = service.webhook_secrets(team, book.box, now=book.now)[0].get_secret_value()
        rows = await session.connection()
        dump = str(
            (await rows.execute(text("SELECT t::text, k::text FROM teams t, api_keys k"))).all()
        )
    assert re.fullmatch(r"whsec_[A-Za-z0-9_-]{32,}", secret)
    assert key not in dump
    assert secret not in dump


@pytest.mark.parametrize(
    "bearer",
    [None, "", "Bearer", "Basic abc", "Bearer mb_live_short", f"Bearer mb_live_{'a' * 24}"],
    ids=["missing", "empty", "no-key", "other-scheme", "malformed", "unknown"],
)
async def test_anything_but_a_known_key_is_refused(book: JobBook, bearer: str | None) -> None:
    """AU-04."""
    with pytest.raises(Unauthorized):
        await caller(book, bearer)


async def test_a_revoked_key_is_refused_at_once(book: JobBook) -> None:
    row, key = await minted(book)
    async with book.database.begin() as session:
        await service.revoke_key(session, book.team_id, row.id, now=book.now)
    with pytest.raises(Unauthorized, match="revoked"):
        await caller(book, f"Bearer {key}")


async def test_a_stranger_cannot_revoke_a_key(book: JobBook) -> None:
    row, _ = await minted(book)
    with pytest.raises(NotFound):
        async with book.database.begin() as session:
            await service.revoke_key(session, "team_other", row.id, now=book.now)


async def test_last_use_is_noted_about_once_a_minute(book: JobBook) -> None:
    row, key = await minted(book)
    uses = []
    for passed in (0, 30, 31):
        book.clock.advance(passed)
        await caller(book, f"Bearer {key}")
        async with book.database.begin() as session:
            uses.append((await session.get_one(ApiKey, row.id)).last_used_at)
    assert uses[0] == uses[1] != uses[2]


@pytest.mark.parametrize("name", ["", "  ", "x" * 65])
async def test_names_are_bounded(book: JobBook, name: str) -> None:
    with pytest.raises(BadInput, match="64"):
        async with book.database.begin() as session:
            await service.mint_key(session, book.team_id, name, livemode=True, now=book.now)
    with pytest.raises(BadInput, match="64"):
        async with book.database.begin() as session:
            await service.create_team(session, book.box, name, now=book.now)


async def test_keys_are_minted_for_existing_teams_only(
    database: Database, clock: ManualClock
) -> None:
    with pytest.raises(NotFound, match="team_none"):
        async with database.begin() as session:
            await service.mint_key(session, "team_none", "ci", livemode=True, now=clock.now())


async def test_the_previous_webhook_secret_is_valid_until_its_time(
    book: JobBook, box: SecretBox
) -> None:
    """WH-31, WH-32: the old one first."""
    async with book.database.begin() as session:
        team = await session.get_one(Team, book.team_id)
        team.previous_webhook_secret = box.seal(SecretStr("whsec_old"))
        team.previous_secret_until = book.now + timedelta(hours=24)
    during = service.webhook_secrets(team, box, now=book.now)
    after = service.webhook_secrets(team, box, now=book.now + timedelta(hours=24))
    assert during[0].get_secret_value() == "whsec_old"
    assert during[1:] == after
