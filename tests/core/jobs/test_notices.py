"""Answers to the consent request and other companies' bots (PL-20, LC-30, WH-01)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from core.database import Database
from core.errors import StaleAttempt
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.notices import (
    CompetingBot,
    Consent,
    competing_bot_seen,
    consent_answered,
    notices,
)
from core.jobs.settlement import Settlement
from core.jobs.settlement import settle as settle_job
from core.webhooks.events import EventName
from core.webhooks.models import Delivery
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

BOT_EVENTS = (EventName.PERMISSION_RESPONSE, EventName.COMPETING_BOT)


async def sent(database: Database, job: Job) -> list[dict[str, Any]]:
    """The data of the job's `bot.*` webhooks."""
    async with database.begin() as session:
        statement = (
            select(Delivery)
            .where(Delivery.job_id == job.id, col(Delivery.event).in_(BOT_EVENTS))
            .order_by(col(Delivery.seq))
        )
        return [delivery.data for delivery in (await session.exec(statement)).all()]


async def told(database: Database, job: Job) -> list[tuple[str, dict[str, Any]]]:
    async with database.begin() as session:
        return [(one.kind.value, one.data) for one in await notices(session, job.id)]


def otter(book: JobBook, participant: str, name: str = "Otter.ai", **more: Any) -> CompetingBot:
    values = {"display_name": name, "bot_name": "Otter", "leaving": False} | more
    return CompetingBot(at=book.now, participant_id=participant, **values)


async def see(database: Database, book: JobBook, job: Job, fence: int, bot: CompetingBot) -> None:
    async with database.begin() as session:
        await competing_bot_seen(session, job.id, bot, fence=fence, now=book.now)


@pytest.mark.parametrize("granted", [True, False])
async def test_an_answer_becomes_a_webhook_and_a_notice(
    book: JobBook, database: Database, granted: bool
) -> None:
    """PL-20; names come from the page and are made plain."""
    job = await book.add()
    fence = await book.bring_to(job, Status.RECORDING)
    at = book.now - timedelta(seconds=2)
    answer = Consent(at=at, granted=granted, participant_id="prt_1", display_name="Ada\x00\nPark")
    async with database.begin() as session:
        await consent_answered(session, job.id, answer, fence=fence, now=book.now)
    data = {"granted": granted, "participantId": "prt_1", "displayName": "Ada Park"}
    assert await told(database, job) == [("consent", data)]
    (webhook,) = await sent(database, job)
    assert webhook == {
        "event": "bot.recording_permission_response",
        "jobId": job.id,
        "externalId": job.external_id,
        "platform": "meet",
        "status": "recording",
        "metadata": {},
        "livemode": True,
        **data,
    }


@pytest.mark.parametrize("leaving", [True, False])
async def test_a_competing_bot_is_told_once(
    book: JobBook, database: Database, leaving: bool
) -> None:
    """LC-30."""
    job = await book.add()
    fence = await book.bring_to(job, Status.RECORDING)
    for _ in range(2):
        await see(database, book, job, fence, otter(book, "prt_1", leaving=leaving))
    await see(database, book, job, fence, otter(book, "prt_2"))
    first, second = await sent(database, job)
    assert (first["leftMeeting"], first["botName"], first["displayName"]) == (
        leaving,
        "Otter",
        "Otter.ai",
    )
    assert (first["participantId"], second["participantId"]) == ("prt_1", "prt_2")
    assert [kind for kind, _ in await told(database, job)] == ["competing_bot"] * 2


async def test_after_a_crash_the_same_bot_is_known_by_its_name(
    book: JobBook, database: Database
) -> None:
    """Each attempt mints its own participant ids."""
    job = await book.add()
    fence = await book.bring_to(job, Status.RECORDING)
    await see(database, book, job, fence, otter(book, "prt_1"))
    fence = await book.take(job)
    await see(database, book, job, fence, otter(book, "prt_9"))
    await see(database, book, job, fence, otter(book, "prt_8", "Fireflies.ai Notetaker"))
    names = [data["displayName"] for data in await sent(database, job)]
    assert names == ["Otter.ai", "Fireflies.ai Notetaker"]


async def test_outdated_attempts_are_refused_and_ended_jobs_left_alone(
    book: JobBook, database: Database
) -> None:
    """D10; nothing is sent after the last webhook of a job."""
    job = await book.add()
    fence = await book.bring_to(job, Status.FINALIZING)
    with pytest.raises(StaleAttempt):
        await see(database, book, job, fence - 1, otter(book, "prt_1"))
    async with database.begin() as session:
        await settle_job(session, job.id, Settlement(ExitReason.CALL_ENDED), now=book.now)
    await see(database, book, job, fence, otter(book, "prt_1"))
    answer = Consent(at=book.now, granted=True, participant_id=None, display_name="Ada")
    async with database.begin() as session:
        await consent_answered(session, job.id, answer, fence=fence, now=book.now)
    assert await sent(database, job) == []
