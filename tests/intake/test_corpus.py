"""Each mail of the corpus, from its bytes to the decision (CAL-03, CAL-04, CAL-09)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.people import sign_in
from core.database import Database
from core.invites.reading import read_calendar
from core.invites.refusals import InviteRefused
from core.invites.senders import Proof
from core.invites.taking import Sent, take_invite
from core.secrets import SecretBox
from core.settings import Settings, StorageSettings
from intake.mail import read_mail
from tests.intake.corpus import Case, cases
from tests.support.clock import START

pytestmark = pytest.mark.integration

CASES = list(cases())
ADA = Sent("ada@example.com", None, Proof("pass", "pass", "pass", "example.com"))


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(storage=StorageSettings(link_secret=SecretStr("s")))


@pytest.fixture
async def session(database: Database, box: SecretBox) -> AsyncIterator[AsyncSession]:
    async with database.begin() as session:
        await sign_in(session, box, "ada@example.com", now=START)
        yield session


async def decided(
    session: AsyncSession, box: SecretBox, settings: Settings, case: Case
) -> list[str] | str:
    mail = read_mail(case.message.as_bytes())
    if mail.refusal is not None:
        return mail.refusal.reason
    assert mail.sender == "ada@example.com"
    (invite,) = mail.invites
    try:
        decision = await take_invite(
            session,
            box,
            settings,
            sent=ADA,
            method=invite.method,
            series=read_calendar(invite.text).series[0],
            now=START,
        )
    except InviteRefused as refused:
        return refused.reason
    return [f"{one.starts_at:%m-%dT%H:%M}" for one in decision.changes]


async def test_every_mail_of_the_corpus_is_decided_as_it_should_be(
    session: AsyncSession, box: SecretBox, settings: Settings
) -> None:
    """One database for all of them: each is undone before the next."""
    settings.intake.invites = 10_000
    wrong: dict[str, object] = {}
    for case in CASES:
        async with session.begin_nested() as savepoint:
            found = await decided(session, box, settings, case)
            await savepoint.rollback()
        session.expunge_all()
        wanted = case.wanted if isinstance(case.wanted, str) else list(case.wanted)
        if found != wanted:
            wrong[case.name] = (found, wanted)
    assert wrong == {}
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
