"""The control channel over HTTP, against the real API on loopback (D3, API-22)."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bot.control import ConsentAnswered, ControlChannel, Moved, Outcome, Verb
from bot.control_http import HttpChannel
from core.clock import SystemClock
from core.errors import InvalidState, StaleAttempt, Unauthorized, Unavailable
from core.jobs import commands
from core.jobs.bot_tokens import mint_bot_token
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event, Status
from core.jobs.models import Job, JobCommand
from core.jobs.settlement import Settlement, settle
from flows.channel import DatabaseChannel
from tests.api.conftest import Api
from tests.support.api_server import running_api
from tests.support.channel_conformance import ChannelConformance, Line, heard, moved, snapshot
from tests.support.gate import Gate
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

log = logging.getLogger(__name__)


def channel_to(api: Api, origin: str, job: Job, fence: int) -> HttpChannel:
    keys = api.app.state.services.settings.encryption_keys
    return HttpChannel(origin, mint_bot_token(keys, job.id, fence), job.id, SystemClock())


@pytest.fixture
async def origin(api: Api) -> AsyncIterator[str]:
    async with running_api(api.app) as served:
        yield served


@pytest.fixture
async def job(api: Api) -> Job:
    job = await api.book.add()
    await api.book.take(job)
    return await api.book.read(job)


@pytest.fixture
async def channel(api: Api, origin: str, job: Job) -> AsyncIterator[HttpChannel]:
    async with channel_to(api, origin, job, job.fence) as opened:
        yield opened


class TestHttpChannel(ChannelConformance):
    @pytest.fixture
    def line(self, api: Api, job: Job, channel: HttpChannel) -> Line:
        book = api.book

        async def issue(verb: Verb) -> str:
            async with book.database.begin() as session:
                return (await commands.issue(session, job.id, verb, now=book.now)).id

        async def take_over() -> None:
            await book.take(job)

        async def status() -> Status:
            return (await book.read(job)).status

        async def answer(command_id: str) -> tuple[Outcome, str] | None:
            async with book.database.begin() as session:
                command = await session.get_one(JobCommand, command_id)
            return None if command.outcome is None else (command.outcome, command.detail)

        return Line(channel, issue, take_over, status, answer)


async def test_the_whole_command_and_its_result_travel(
    api: Api, job: Job, channel: HttpChannel
) -> None:
    async with api.book.database.begin() as session:
        issued = await commands.issue(
            session, job.id, Verb.CHAT, now=api.book.now, payload={"message": "hello"}
        )
    listening: Any = channel.commands()
    async with aclosing(listening):
        (command,) = await heard(listening, 1)
    assert (command.id, command.payload) == (issued.id, {"message": "hello"})
    assert command.issued_at == api.book.now
    await channel.settle(command.id, Outcome.DONE, "sent", {"width": 1280})
    async with api.book.database.begin() as session:
        settled = await session.get_one(JobCommand, command.id)
    assert (settled.detail, settled.result) == ("sent", {"width": 1280})


async def test_names_that_are_no_text_do_not_break_the_line(
    api: Api, job: Job, channel: HttpChannel
) -> None:
    """D19: pages may call people anything."""
    speaker = replace(snapshot().participants[0], display_name="Ada\x00 \ud800Park")
    await channel.report(replace(snapshot(), participants=(speaker,)))
    answer = ConsentAnswered(datetime.now(UTC), True, None, "Ada\x00 \ud800Park")
    await channel.report(answer)
    progress = (await api.book.read(job)).progress
    assert progress is not None
    assert progress["participants"][0]["displayName"] == "Ada Park"


class LosesAnswers(httpx.AsyncBaseTransport):
    """Delivers every request, and drops the answers to the first ones."""

    def __init__(self, answers: int) -> None:
        self.lost = 0
        self._answers = answers
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if self.lost < self._answers:
            self.lost += 1
            await response.aclose()
            raise httpx.ReadError("The connection broke.")
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


async def losing(channel: HttpChannel, answers: int) -> LosesAnswers:
    transport = LosesAnswers(answers)
    channel._client._transport = transport
    return transport


@pytest.mark.parametrize("answers", [1, 2])
async def test_a_message_whose_answer_was_lost_counts_once(
    api: Api, job: Job, channel: HttpChannel, answers: int
) -> None:
    """API-76: said again, a move would be refused, and a begun verb be unknown."""
    await losing(channel, answers)
    await channel.report(moved(Event.BOT_STARTED))
    async with api.book.database.begin() as session:
        command = await commands.issue(session, job.id, Verb.CHAT, now=api.book.now)
    transport = await losing(channel, answers)
    assert await channel.begin(command.id)
    assert transport.lost == answers
    assert (await api.book.read(job)).status is Status.JOINING


async def test_who_gives_up_and_comes_back_still_counts_once(
    api: Api, job: Job, channel: HttpChannel
) -> None:
    """What `bot.reporting` does: the same report again, later."""
    await losing(channel, 3)
    report = moved(Event.BOT_STARTED)
    with pytest.raises(Unavailable):
        await channel.report(report)
    await channel.report(report)
    with pytest.raises(InvalidState):
        await channel.report(Moved(Event.BOT_STARTED, datetime.now(UTC)))


async def test_the_line_survives_an_api_that_goes_away(api: Api, job: Job) -> None:
    async with running_api(api.app) as origin:
        gate = Gate(origin)
        gate.start()
        try:
            async with channel_to(api, gate.origin, job, job.fence) as channel:
                listening: Any = channel.commands()
                async with aclosing(listening):
                    hearing = asyncio.ensure_future(anext(listening))
                    await channel.report(moved(Event.BOT_STARTED))
                    gate.shut()
                    with pytest.raises(Unavailable):
                        await channel.renew()
                    async with api.book.database.begin() as session:
                        issued = await commands.issue(session, job.id, Verb.LEAVE, now=api.book.now)
                    gate.open()
                    assert (await asyncio.wait_for(hearing, 20)).id == issued.id
                    await channel.renew()
        finally:
            gate.stop()


async def test_a_listening_bot_learns_that_it_is_outdated(
    api: Api, job: Job, channel: HttpChannel
) -> None:
    listening: Any = channel.commands()
    async with aclosing(listening):
        hearing = asyncio.ensure_future(anext(listening))
        await api.book.take(job)
        async with api.book.database.begin() as session:
            await commands.issue(session, job.id, Verb.LEAVE, now=api.book.now)
        with pytest.raises(StaleAttempt):
            await asyncio.wait_for(hearing, 20)


async def test_the_token_dies_with_the_job(api: Api, job: Job, channel: HttpChannel) -> None:
    await channel.renew()
    async with api.book.database.begin() as session:
        cancelled = Settlement(ExitReason.CANCELLED, cancelled=True)
        await settle(session, job.id, cancelled, now=api.book.now)
    with pytest.raises(Unauthorized):
        await channel.renew()


async def test_nobody_there_is_said_as_such(api: Api, job: Job) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with channel_to(api, nowhere, job, job.fence) as channel:
        with pytest.raises(Unavailable):
            await channel.renew()


async def test_how_soon_a_bot_hears_a_verb(
    api: Api, job: Job, channel: HttpChannel, record_property: Any
) -> None:
    """Measured for the log, not asserted: it depends on the machine."""
    for event in (Event.BOT_STARTED, Event.ADMITTED, Event.MEDIA_CAPTURED):
        await channel.report(moved(event))
    direct = DatabaseChannel(api.book.database, SystemClock(), job.id, job.fence, lease_seconds=60)
    for name, line in (("database", direct), ("http", channel)):
        delays = await _delays(api, job, line)
        median = statistics.median(delays) * 1000
        record_property(f"{name}_median_ms", median)
        log.warning("verb accepted to heard over %s: %.1f ms median", name, median)
        assert len(delays) == 20


async def _delays(api: Api, job: Job, line: ControlChannel) -> list[float]:
    delays = []
    listening: Any = line.commands()
    async with aclosing(listening):
        for number in range(20):
            hearing = asyncio.ensure_future(_next(listening))
            began = time.perf_counter()
            answer = await api.live.post(
                f"/api/v1/jobs/{job.id}/send-chat-message", json={"message": f"{number}"}
            )
            assert answer.status_code == 202, answer.text
            command_id, at = await asyncio.wait_for(hearing, 20)
            assert command_id == answer.json()["commandId"]
            delays.append(at - began)
            await line.settle(command_id, Outcome.DONE)
    return delays


async def _next(listening: Any) -> tuple[str, float]:
    command = await anext(listening)
    return command.id, time.perf_counter()
