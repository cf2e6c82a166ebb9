"""An operator erases a job, or a whole team (MF-22)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlmodel import select

from core.accounts.models import ApiKey, Membership, Team, User
from core.accounts.people import sign_in
from core.accounts.service import mint_key
from core.billing.models import UsageEvent
from core.calendars.models import CalendarConnection, CalendarEvent, CalendarRule
from core.calendars.rules import RuleAction, Why
from core.database import Database
from core.dispatch.base import RunData
from core.erasure.eraser import Eraser
from core.errors import InvalidState, NotFound
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.settlement import Settlement, settle
from core.secrets import SecretBox
from core.settings import Settings, StorageSettings
from core.storage.base import Storage
from core.storage.factory import create_storage
from meetbot_server import erasing
from tests.api.route_examples import a_calendar, a_rule
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.recordings import delivered

pytestmark = pytest.mark.integration


class NoRuns:
    async def erase(self, job_id: str, flow_run_id: str | None) -> RunData:
        return RunData()


@pytest.fixture
def settings(database_url: SecretStr, encryption_key: SecretStr, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        storage=StorageSettings(link_secret=SecretStr("a secret for links")),
        database_url=database_url,
        encryption_keys=(encryption_key,),
    )


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return create_storage(settings)


async def housekeeping(book: JobBook, storage: Storage) -> None:
    async def storage_of(_: Job) -> Storage:
        return storage

    await Eraser(book.database, storage_of, book.clock).drain(NoRuns())


@pytest.fixture
async def book(database: Database, box: SecretBox, clock: ManualClock) -> JobBook:
    return await JobBook.open(database, box, clock)


async def test_a_job_is_erased_and_its_receipt_is_to_be_had(
    settings: Settings, storage: Storage, book: JobBook
) -> None:
    job = await delivered(book, storage)
    row = await erasing.erase_job(settings, book.clock, job.id)
    assert (row.requested_by, row.receipt) == ("operator", None)
    assert list(storage.list(f"recordings/{job.id}/")) == []
    await housekeeping(book, storage)
    again = await erasing.erase_job(settings, book.clock, job.id[4:])
    assert '"status":"completed"' in (again.receipt or "")
    live = await book.add()
    with pytest.raises(InvalidState):
        await erasing.erase_job(settings, book.clock, live.id)
    with pytest.raises(NotFound):
        await erasing.erase_job(settings, book.clock, "job_nonsense")


async def connected(book: JobBook, job_id: str) -> None:
    """A calendar of the team, with a rule and an event."""
    connection_id = await a_calendar(book)
    await a_rule(book)
    async with book.database.begin() as session:
        session.add(
            CalendarEvent(
                id="cev_1",
                connection_id=connection_id,
                team_id=book.team_id,
                livemode=True,
                provider_id="1",
                facts=book.box.seal(SecretStr("{}")),
                starts_at=book.now,
                ends_at=book.now,
                action=RuleAction.RECORD,
                why=Why.RULE,
                job_id=job_id,
                created_at=book.now,
                updated_at=book.now,
            )
        )


async def test_a_team_is_erased_to_its_last_job(
    settings: Settings, storage: Storage, book: JobBook
) -> None:
    jobs = [await delivered(book, storage) for _ in range(2)]
    live = await book.add()
    fence = await book.bring_to(live, Status.FINALIZING)
    await connected(book, live.id)
    async with book.database.begin() as session:
        await mint_key(session, book.team_id, "Ada's laptop", livemode=True, now=book.now)
        user, own = await sign_in(session, book.box, "ada@example.com", now=book.now)
        bob, _ = await sign_in(session, book.box, "bob@example.com", now=book.now)
        for one in (user, bob):
            session.add(Membership(user_id=one.id, team_id=book.team_id, created_at=book.now))
        # Ada is in this team only.
        await session.delete(await session.get_one(Membership, (user.id, own.id)))

    first = await erasing.erase_team(settings, book.clock, book.team_id)
    assert first.closed == {"keys": 1, "memberships": 2, "people": 1}
    assert (first.live, first.jobs, first.completed, first.done) == ([live.id], 2, 0, False)
    async with book.database.begin() as session:
        assert {one.email for one in (await session.exec(select(User))).all()} == {
            "bob@example.com"
        }
        assert (await session.get_one(Team, book.team_id)).name == "(erased)"
        for table in (CalendarConnection, CalendarRule, CalendarEvent):
            assert (await session.exec(select(table))).all() == []
        (key,) = (await session.exec(select(ApiKey))).all()
        assert (key.name, key.revoked_at) == ("(erased)", book.now)
        secret = (await session.get_one(Team, book.team_id)).webhook_secret

    async with book.database.begin() as session:
        ending = Settlement(ExitReason.CALL_ENDED, recorded_seconds=30)
        await settle(session, live.id, ending, fence=fence, now=book.now)
    second = await erasing.erase_team(settings, book.clock, book.team_id)
    assert (second.live, second.jobs, second.done) == ([], 3, False)
    await housekeeping(book, storage)
    third = await erasing.erase_team(settings, book.clock, book.team_id)
    assert (third.completed, third.done) == (3, True)
    async with book.database.begin() as session:
        assert (await session.get_one(Team, book.team_id)).webhook_secret != secret
        assert len((await session.exec(select(UsageEvent))).all()) == 3
    assert [list(storage.list(f"recordings/{job.id}/")) for job in jobs] == [[], []]
    with pytest.raises(NotFound):
        await erasing.erase_team(settings, book.clock, "team_01HXY1AB7M2QNTWA9YQRH5JEP6")
