"""The control channel over the database, against a real PostgreSQL (D3, D10)."""

from __future__ import annotations

import pytest

from bot.control import Outcome, Verb
from core.database import Database
from core.jobs import commands
from core.jobs.lifecycle import Status
from core.jobs.models import JobCommand
from core.secrets import SecretBox
from flows.channel import DatabaseChannel
from tests.support.channel_conformance import ChannelConformance, Line
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
