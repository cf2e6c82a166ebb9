"""The control channel over the database, against a real PostgreSQL (D3, D10)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import col, select

from bot.control import CompetingBotSeen, ConsentAnswered, Outcome, Verb
from core.database import Database
from core.jobs import commands
from core.jobs.lifecycle import Event, Status
from core.jobs.models import JobCommand
from core.secrets import SecretBox
from core.webhooks.models import Delivery
from flows.channel import DatabaseChannel
from tests.support.channel_conformance import ChannelConformance, Line, moved, snapshot
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


class TestDatabaseChannel(ChannelConformance):
    @pytest.fixture
    async def line(self, database: Database, box: SecretBox, clock: ManualClock) -> Line:
        book = await JobBook.open(database, box, clock)
        job = await book.add()
        fence = await book.take(job)
        channel = DatabaseChannel(database, clock, job.id, fence, lease_seconds=10)

        async def issue(verb: Verb) -> str:
            async with database.begin() as session:
                return (await commands.issue(session, job.id, verb, now=book.now)).id

        async def take_over() -> None:
            await book.take(job)

        async def status() -> Status:
            return (await book.read(job)).status

        async def answer(command_id: str) -> tuple[Outcome, str] | None:
            async with database.begin() as session:
                command = await session.get_one(JobCommand, command_id)
            if command.outcome is None:
                return None
            return command.outcome, command.detail or ""

        return Line(channel, issue, take_over, status, answer)


async def test_what_may_have_a_webhook_wakes_its_sender(
    database: Database, box: SecretBox, clock: ManualClock
) -> None:
    """PL-20, LC-30, D9: at once; snapshots have none."""
    book = await JobBook.open(database, box, clock)
    job = await book.add()
    woken: list[str] = []
    channel = DatabaseChannel(
        database,
        clock,
        job.id,
        await book.take(job),
        lease_seconds=10,
        on_event=lambda: woken.append("woken"),
    )
    await channel.report(moved(Event.BOT_STARTED))
    await channel.report(snapshot())
    await channel.report(ConsentAnswered(book.now, True, "prt_1", "Ada"))
    await channel.report(CompetingBotSeen(book.now, "prt_2", "Otter.ai", "Otter", leaving=True))
    assert len(woken) == 3
    async with database.begin() as session:
        own = select(Delivery).where(Delivery.job_id == job.id).order_by(col(Delivery.seq))
        sent: list[dict[str, Any]] = [one.data for one in (await session.exec(own)).all()]
    assert [data["event"] for data in sent] == [
        "job.status_changed",
        "bot.recording_permission_response",
        "bot.competing_bot_detected",
    ]
    assert (sent[1]["granted"], sent[2]["leftMeeting"]) == (True, True)
