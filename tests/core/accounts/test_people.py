"""People: one per address, a team for everybody who is new (AU-14)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlmodel import func, select

from core.accounts import people, sessions
from core.accounts.models import LoginSession, Membership, Team, User
from core.database import Database
from core.errors import BadInput, Unauthorized
from core.secrets import SecretBox
from tests.support.clock import ManualClock

pytestmark = pytest.mark.integration


async def come(database: Database, box: SecretBox, clock: ManualClock, address: str) -> str:
    async with database.begin() as session:
        _, team = await people.sign_in(session, box, address, now=clock.now())
        return team.id


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("a.b+c@example.co.uk", "a.b+c@example.co.uk"),
    ],
)
def test_addresses_are_compared_in_one_form(text: str, address: str) -> None:
    assert people.normal_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "ada", "ada@", "a@b\nbcc: x@y.example", "a@b@c.example", "x" * 400 + "@a.example"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="name@example"):
        people.normal_address(text)


async def test_the_first_login_makes_a_team_and_the_second_finds_it(
    database: Database, box: SecretBox, clock: ManualClock
) -> None:
    first = await come(database, box, clock, "ada@example.com")
    second = await come(database, box, clock, "ada@example.com")
    assert first == second
    async with database.begin() as session:
        team = await session.get_one(Team, first)
        assert team.name == "ada"
        assert (await session.exec(select(func.count()).select_from(User))).one() == 1


async def test_two_first_logins_at_once_make_one_user_and_one_team(
    database: Database, box: SecretBox, clock: ManualClock
) -> None:
    teams = await asyncio.gather(*(come(database, box, clock, "ada@example.com") for _ in range(6)))
    assert len(set(teams)) == 1
    async with database.begin() as session:
        assert (await session.exec(select(func.count()).select_from(Team))).one() == 1
        assert (await session.exec(select(func.count()).select_from(Membership))).one() == 1


async def test_a_login_is_kept_as_a_hash_and_forgotten_after_its_time(
    database: Database, box: SecretBox, clock: ManualClock
) -> None:
    async with database.begin() as session:
        user, team = await people.sign_in(session, box, "ada@example.com", now=clock.now())
        life = timedelta(hours=1)
        token = await sessions.open_session(session, user, team, life=life, now=clock.now())
        secret = token.get_secret_value()
        found = await sessions.find_login(session, secret, now=clock.now())
        assert (found.user_id, found.team_id) == (user.id, team.id)
        rows = (await session.exec(select(LoginSession))).all()
        assert secret not in str(rows)
        clock.advance(3_600)
        with pytest.raises(Unauthorized, match="over"):
            await sessions.find_login(session, secret, now=clock.now())
        await sessions.forget_sessions(session, now=clock.now())
        assert (await session.exec(select(LoginSession))).all() == []


async def test_a_closed_login_is_over_at_once(
    database: Database, box: SecretBox, clock: ManualClock
) -> None:
    async with database.begin() as session:
        user, team = await people.sign_in(session, box, "ada@example.com", now=clock.now())
        life = timedelta(hours=1)
        token = await sessions.open_session(session, user, team, life=life, now=clock.now())
        await sessions.close_session(session, token.get_secret_value())
        with pytest.raises(Unauthorized):
            await sessions.find_login(session, token.get_secret_value(), now=clock.now())
