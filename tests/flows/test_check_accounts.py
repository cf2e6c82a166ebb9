"""Accounts that are looked at once a day, and what becomes of them (PL-24)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.account_check import Check, Standing
from core.database import Database
from core.errors import SignedOut
from core.integrations.models import Integration
from core.integrations.pool import Owner, connect, lend
from core.integrations.state import Provider, StorageState
from core.jobs.models import Job
from core.secrets import SecretBox
from core.settings import Settings
from flows.check_accounts import MOST_AT_ONCE, Rounds
from tests.support.accounts import signed_in
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


class Providers:
    """Their pages: what each session is worth, and the sessions that were asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.found = Check(Standing.SIGNED_IN)

    async def check(self, _settings: Settings, _provider: Provider, state: StorageState) -> Check:
        self.asked.append(state.cookies[0].value.get_secret_value())
        return self.found


class Pool:
    """A team's Zoom accounts and the rounds that look at them."""

    def __init__(self, book: JobBook) -> None:
        self.book = book
        self.providers = Providers()
        self.rounds = Rounds(book.database, book.box, Settings(), book.clock, self.providers.check)

    async def add(self, label: str) -> str:
        async with self.book.database.begin() as session:
            row = await connect(
                session,
                self.book.box,
                Owner(self.book.team_id, livemode=True),
                Provider.ZOOM,
                label,
                zoom_state(label),
                now=self.book.now,
            )
        return row.id

    async def row(self, account: str) -> Integration:
        async with self.book.database.begin() as session:
            return await session.get_one(Integration, account)

    async def job(self) -> Job:
        return await self.book.add(platform="zoom", driver="zoom")

    async def lent(self, job: Job) -> str | None:
        async with self.book.database.begin() as session:
            state = await lend(session, self.book.box, job, now=self.book.now)
        return state.cookies[0].value.get_secret_value() if state is not None else None


def zoom_state(value: str) -> StorageState:
    return StorageState.model_validate(signed_in("zoom.us", value))


@pytest.fixture
async def pool(database: Database, box: SecretBox, clock: ManualClock) -> Pool:
    return Pool(await JobBook.open(database, box, clock))


async def test_a_good_account_is_asked_about_once_a_day_and_keeps_its_new_cookies(
    pool: Pool,
) -> None:
    account = await pool.add("first")
    pool.providers.found = Check(Standing.SIGNED_IN, "zoom.us/profile", zoom_state("renewed"))
    assert await pool.rounds.go() == 0
    await pool.rounds.go()
    assert pool.providers.asked == ["first"]
    row = await pool.row(account)
    assert (row.problem, row.checked_at, row.held_until) == (None, pool.book.now, None)
    pool.book.clock.advance(timedelta(days=1, minutes=1).total_seconds())
    await pool.rounds.go()
    assert pool.providers.asked == ["first", "renewed"]
    assert await pool.lent(await pool.job()) == "renewed"


async def test_an_account_that_is_signed_out_is_lent_to_nobody_and_says_why(pool: Pool) -> None:
    """`auth_failure` before the bot goes, not at the door."""
    account = await pool.add("first")
    pool.providers.found = Check(Standing.SIGNED_OUT, "zoom.us/signin")
    assert await pool.rounds.go() == 1
    assert (await pool.row(account)).problem == (
        "Its provider asks to sign in again (zoom.us/signin)."
    )
    with pytest.raises(SignedOut, match="asks to sign in again"):
        await pool.lent(await pool.job())
    await pool.add("first")
    assert await pool.lent(await pool.job()) == "first"


async def test_a_provider_that_does_not_answer_is_asked_again_later_in_the_day(pool: Pool) -> None:
    account = await pool.add("first")
    pool.providers.found = Check(Standing.UNKNOWN)
    assert await pool.rounds.go() == 0
    assert (await pool.row(account)).problem is None
    pool.book.clock.advance(timedelta(hours=5).total_seconds())
    await pool.rounds.go()
    assert len(pool.providers.asked) == 1
    pool.book.clock.advance(timedelta(hours=2).total_seconds())
    await pool.rounds.go()
    assert len(pool.providers.asked) == 2


async def test_an_account_that_a_bot_has_is_left_alone(pool: Pool) -> None:
    await pool.add("first")
    assert await pool.lent(await pool.job()) == "first"
    assert await pool.rounds.go() == 0
    assert pool.providers.asked == []


async def test_an_account_that_is_lent_while_it_is_looked_at_is_the_bots(pool: Pool) -> None:
    """What its browser has is newer; and a verdict would come from before."""
    account = await pool.add("first")

    async def check(_settings: Settings, _provider: Provider, _state: StorageState) -> Check:
        assert await pool.lent(await pool.job()) == "first"
        return Check(Standing.SIGNED_OUT, "zoom.us/signin")

    await Rounds(
        pool.book.database, pool.book.box, pool.rounds.settings, pool.book.clock, check
    ).go()
    row = await pool.row(account)
    assert (row.problem, row.checked_at, row.held_until) == (None, None, None)


async def test_bots_rather_get_an_account_that_is_not_looked_at(pool: Pool) -> None:
    await pool.add("first")
    await pool.add("second")

    async def check(_settings: Settings, _provider: Provider, state: StorageState) -> Check:
        looked_at = state.cookies[0].value.get_secret_value()
        given = await pool.lent(await pool.job())
        assert given is not None
        pool.providers.asked.append(looked_at)
        if len(pool.providers.asked) == 1:
            assert given != looked_at
        return Check(Standing.SIGNED_IN)

    await Rounds(
        pool.book.database, pool.book.box, pool.rounds.settings, pool.book.clock, check
    ).go()
    assert pool.providers.asked == ["first"], "the other one is with a bot now"


async def test_one_round_looks_at_a_few_accounts_only(pool: Pool) -> None:
    for number in range(MOST_AT_ONCE + 2):
        await pool.add(f"account {number}")
    await pool.rounds.go()
    assert len(pool.providers.asked) == MOST_AT_ONCE
    await pool.rounds.go()
    assert len({*pool.providers.asked}) == len(pool.providers.asked) == MOST_AT_ONCE + 2
