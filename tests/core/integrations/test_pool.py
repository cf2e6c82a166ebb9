"""Accounts that a team lends its bots, one bot at a time (API-46, PL-24)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr

from core.database import Database
from core.errors import SIGNED_OUT, BadInput, SignedOut
from core.integrations.models import Integration
from core.integrations.pool import Owner, connect, in_use, integrations_of, lend
from core.integrations.state import Provider, StorageState
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.settlement import Settlement, settle
from core.secrets import SecretBox
from tests.support.accounts import signed_in
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


@pytest.fixture
async def book(database: Database, box: SecretBox, clock: ManualClock) -> JobBook:
    return await JobBook.open(database, box, clock)


def state(value: str = "a session", *, expires: float = -1) -> StorageState:
    return StorageState.model_validate(signed_in("zoom.us", value, expires=expires))


async def connected(book: JobBook, label: str, *, value: str = "s", expires: float = -1) -> str:
    async with book.database.begin() as session:
        owner = Owner(book.team_id, livemode=True)
        given = state(value, expires=expires)
        row = await connect(session, book.box, owner, Provider.ZOOM, label, given, now=book.now)
    return row.id


async def zoom_job(book: JobBook) -> Job:
    return await book.add(platform="zoom", driver="zoom", livemode=True)


async def lent(book: JobBook, job: Job) -> str | None:
    """The secret of the account that the job's bot is given."""
    async with book.database.begin() as session:
        found = await lend(session, book.box, job, now=book.now)
    return found.cookies[0].value.get_secret_value() if found is not None else None


async def end(book: JobBook, job: Job, settlement: Settlement) -> None:
    await book.bring_to(job, Status.JOINING)
    async with book.database.begin() as session:
        await settle(session, job.id, settlement, now=book.now)


FAILED = Settlement(ExitReason.ERROR, FailureCode.MEETING_NOT_FOUND)


async def test_an_account_is_with_one_bot_at_a_time_until_its_job_is_over(book: JobBook) -> None:
    await connected(book, "one", value="of one")
    first, second = await zoom_job(book), await zoom_job(book)
    assert await lent(book, first) == "of one"
    assert await lent(book, first) == "of one", "a later attempt of the job has it again"
    assert await lent(book, second) is None, "a guest is better than nobody"
    await end(book, first, FAILED)
    assert await lent(book, second) == "of one"


async def test_bots_that_start_at_once_get_different_accounts(book: JobBook) -> None:
    for label in "abc":
        await connected(book, label, value=label)
    jobs = [await zoom_job(book) for _ in range(5)]
    got = await asyncio.gather(*(lent(book, job) for job in jobs))
    assert sorted(one for one in got if one is not None) == ["a", "b", "c"]
    assert got.count(None) == 2


async def test_who_has_none_and_other_platforms_send_guests(book: JobBook) -> None:
    assert await lent(book, await zoom_job(book)) is None
    await connected(book, "one")
    assert await lent(book, await book.add(platform="jitsi", driver="jitsi")) is None
    test = await book.add(platform="zoom", driver="sandbox", livemode=False)
    assert await lent(book, test) is None


async def test_a_revoked_account_fails_the_next_job_until_it_is_connected_anew(
    book: JobBook,
) -> None:
    """API-46: revoked credential, next job fails."""
    await connected(book, "bot@example.com")
    job = await zoom_job(book)
    await lent(book, job)
    signed_out = SignedOut("The page asks for a name.")
    assert (signed_out.failure, signed_out.adapter_error) == (FailureCode.AUTH_FAILURE, SIGNED_OUT)
    ending = Settlement(
        ExitReason.ERROR, FailureCode.AUTH_FAILURE, adapter_error=signed_out.adapter_error
    )
    await end(book, job, ending)
    later = await zoom_job(book)
    with pytest.raises(SignedOut, match=r"bot@example.com.*integrations/zoom/connect"):
        await lent(book, later)
    await connected(book, "bot@example.com", value="new")
    assert await lent(book, later) == "new"


async def test_a_wrong_passcode_revokes_nothing(book: JobBook) -> None:
    await connected(book, "one")
    job = await zoom_job(book)
    await lent(book, job)
    await end(book, job, Settlement(ExitReason.ERROR, FailureCode.AUTH_FAILURE))
    assert await lent(book, await zoom_job(book)) == "s"


async def test_cookies_that_run_out_are_a_revoked_account(book: JobBook) -> None:
    until = book.now + timedelta(days=1)
    await connected(book, "one", expires=until.timestamp())
    job = await zoom_job(book)
    book.clock.advance(timedelta(days=2).total_seconds())
    with pytest.raises(SignedOut, match="run out"):
        await lent(book, job)


async def test_what_is_no_login_is_refused_with_advice(book: JobBook) -> None:
    owner = Owner(book.team_id, livemode=True)
    old = (book.now - timedelta(days=1)).timestamp()
    for given in (StorageState.model_validate(signed_in("evilzoom.us")), state(expires=old)):
        async with book.database.begin() as session:
            with pytest.raises(BadInput, match="save the state again"):
                await connect(session, book.box, owner, Provider.ZOOM, "x", given, now=book.now)


async def test_secrets_are_sealed_and_show_nowhere(book: JobBook) -> None:
    """CV-15, D21."""
    await connected(book, "one", value="very secret")
    async with book.database.begin() as session:
        (row,) = await integrations_of(session, Owner(book.team_id, livemode=True))
        assert await in_use(session, [row]) == set()
    assert "very secret" not in f"{row!r}"
    opened = StorageState.model_validate_json(book.box.open(row.storage_state).get_secret_value())
    assert "very secret" not in f"{opened!r}{opened.model_dump_json()}"
    assert isinstance(opened.cookies[0].value, SecretStr)
    assert opened.opened()["origins"][0]["localStorage"] == [
        {"name": "user", "value": "very secret"}
    ]
    assert isinstance(row, Integration)
