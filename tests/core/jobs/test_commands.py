"""How commands end when their job does, and who hears of it (D3, API-16)."""

from __future__ import annotations

import pytest

from core.database import Database
from core.jobs import commands
from core.jobs.asking import request_verb
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import JobCommand
from core.jobs.notices import notices
from core.jobs.settlement import Settlement
from core.jobs.settlement import settle as settle_job
from core.jobs.verbs import ONCE, Outcome, Verb
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


async def test_when_the_job_ends_nothing_is_claimed_that_is_not_known(
    book: JobBook, database: Database
) -> None:
    """D3: state verbs are done, what was begun is unknown, what never was is refused."""
    job = await book.add()
    fence = await book.bring_to(job, Status.RECORDING)
    async with database.begin() as session:
        state = await commands.issue(session, job.id, Verb.LEAVE, now=book.now)
        begun = await commands.issue(session, job.id, Verb.CHAT, now=book.now)
        waiting = await commands.issue(session, job.id, Verb.OUTPUT_MEDIA, now=book.now)
        answered = await commands.issue(session, job.id, Verb.SCREENSHOT, now=book.now)
    async with database.begin() as session:
        assert await commands.begin(session, begun.id, fence, now=book.now)
        await commands.settle(session, answered.id, Outcome.DONE, now=book.now, detail="taken")
    async with database.begin() as session:
        kicked = Settlement(ExitReason.KICKED, failure_code=FailureCode.REMOVED_FROM_MEETING)
        await settle_job(session, job.id, kicked, now=book.now)
    async with database.begin() as session:
        ended = {
            found.id: (found.outcome, found.detail)
            for command in (state, begun, waiting, answered)
            for found in [await session.get_one(JobCommand, command.id)]
        }
        told = await notices(session, job.id)
    assert ended == {
        state.id: (Outcome.DONE, commands.ENDED),
        begun.id: (Outcome.UNKNOWN, commands.ENDED_MEANWHILE),
        waiting.id: (Outcome.REFUSED, commands.NEVER_BEGUN),
        answered.id: (Outcome.DONE, "taken"),
    }
    assert {one.data["commandId"]: one.data["outcome"] for one in told} == {
        command_id: outcome for command_id, (outcome, _) in ended.items()
    }


def test_what_is_done_once_is_what_people_would_notice_twice() -> None:
    assert {Verb.CHAT, Verb.CONSENT, Verb.SCREENSHOT, Verb.OUTPUT_MEDIA} == ONCE


async def test_a_command_is_told_once_with_its_words(book: JobBook, database: Database) -> None:
    """API-16: the `command` event; a second answer changes and tells nothing."""
    job = await book.add()
    await book.bring_to(job, Status.RECORDING)
    async with database.begin() as session:
        command = await request_verb(session, job.id, Verb.CHAT, {"message": "hello"}, now=book.now)
    for outcome in (Outcome.REFUSED, Outcome.DONE):
        async with database.begin() as session:
            await commands.settle(
                session, command.id, outcome, now=book.now, detail="The chat\nis closed."
            )
    async with database.begin() as session:
        (told,) = await notices(session, job.id)
    assert told.data == {
        "commandId": command.id,
        "verb": "send-chat-message",
        "outcome": "refused",
        "detail": "The chat is closed.",
    }
