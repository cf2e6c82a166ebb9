"""What every control channel does, whichever way it goes: one suite for all of them (D3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.control import (
    Command,
    CompetingBotSeen,
    ConsentAnswered,
    ControlChannel,
    Moved,
    Outcome,
    Progress,
    Report,
    Speaking,
    Verb,
)
from core.errors import InvalidState, StaleAttempt
from core.jobs.lifecycle import Event, RecordingState, Status


@dataclass
class Line:
    """A channel and the job store's side of it."""

    channel: ControlChannel
    issue: Callable[[Verb], Awaitable[str]]
    take_over: Callable[[], Awaitable[None]]
    status: Callable[[], Awaitable[Status]]
    answer: Callable[[str], Awaitable[tuple[Outcome, str] | None]]


def moved(event: Event, recording_state: RecordingState | None = None) -> Moved:
    return Moved(event, datetime.now(UTC), recording_state)


def snapshot() -> Progress:
    speaker = Speaking("prt_1", "Ada Park", 0.5, 1.0)
    return Progress(datetime.now(UTC), 1.0, 1000, (speaker,))


def seen_in_the_room() -> list[Report]:
    now = datetime.now(UTC)
    return [
        ConsentAnswered(now, True, "prt_1", "Ada Park"),
        ConsentAnswered(now, False, None, "somebody"),
        CompetingBotSeen(now, "prt_2", "Otter.ai", "Otter", leaving=False),
    ]


async def heard(commands: AsyncIterator[Command], count: int) -> list[Command]:
    async with asyncio.timeout(10):
        return [await anext(commands) for _ in range(count)]


class ChannelConformance:
    """Subclasses give a fixture `line`: a fresh job, its attempt the current one."""

    async def test_events_move_the_job(self, line: Line) -> None:
        await line.channel.report(moved(Event.BOT_STARTED))
        await line.channel.report(moved(Event.ADMITTED))
        await line.channel.report(moved(Event.MEDIA_CAPTURED, RecordingState.RECORDING))
        assert await line.status() is Status.RECORDING

    async def test_a_move_that_the_lifecycle_lacks_is_refused(self, line: Line) -> None:
        with pytest.raises(InvalidState):
            await line.channel.report(moved(Event.MEDIA_CAPTURED))
        assert await line.status() is Status.QUEUED

    async def test_progress_moves_nothing(self, line: Line) -> None:
        await line.channel.report(moved(Event.BOT_STARTED))
        await line.channel.report(snapshot())
        assert await line.status() is Status.JOINING

    async def test_what_is_seen_in_the_room_moves_nothing(self, line: Line) -> None:
        """PL-20, LC-30."""
        await line.channel.report(moved(Event.BOT_STARTED))
        for report in seen_in_the_room():
            await line.channel.report(report)
        assert await line.status() is Status.JOINING

    async def test_commands_issued_before_and_after_listening_arrive_in_order(
        self, line: Line
    ) -> None:
        first = await line.issue(Verb.LEAVE)
        commands: Any = line.channel.commands()
        async with aclosing(commands):
            (before,) = await heard(commands, 1)
            second = await line.issue(Verb.CANCEL)
            (after,) = await heard(commands, 1)
        assert [(before.id, before.verb), (after.id, after.verb)] == [
            (first, Verb.LEAVE),
            (second, Verb.CANCEL),
        ]

    async def test_a_command_is_given_again_until_it_is_settled(self, line: Line) -> None:
        first = await line.issue(Verb.LEAVE)
        for _ in range(2):
            commands: Any = line.channel.commands()
            async with aclosing(commands):
                (again,) = await heard(commands, 1)
            assert again.id == first
        await line.channel.settle(first, Outcome.DONE, "left")
        second = await line.issue(Verb.CANCEL)
        commands = line.channel.commands()
        async with aclosing(commands):
            (fresh,) = await heard(commands, 1)
        assert fresh.id == second

    async def test_the_first_answer_to_a_command_stays(self, line: Line) -> None:
        command = await line.issue(Verb.LEAVE)
        assert await line.answer(command) is None
        await line.channel.settle(command, Outcome.DONE, "left")
        await line.channel.settle(command, Outcome.REFUSED, "too late")
        assert await line.answer(command) == (Outcome.DONE, "left")

    async def test_what_must_not_be_done_twice_is_begun_once(self, line: Line) -> None:
        """D3: begun and never answered, it is answered `unknown` and left alone."""
        command = await line.issue(Verb.CHAT)
        assert await line.channel.begin(command)
        assert await line.answer(command) is None
        assert not await line.channel.begin(command)
        answer = await line.answer(command)
        assert answer is not None
        assert answer[0] is Outcome.UNKNOWN
        done = await line.issue(Verb.CHAT)
        await line.channel.settle(done, Outcome.DONE)
        assert not await line.channel.begin(done)

    async def test_an_outdated_attempt_is_told_so(self, line: Line) -> None:
        await line.channel.report(moved(Event.BOT_STARTED))
        await line.channel.renew()
        await line.take_over()
        with pytest.raises(StaleAttempt):
            await line.channel.report(moved(Event.ADMITTED))
        with pytest.raises(StaleAttempt):
            await line.channel.report(snapshot())
        for report in seen_in_the_room():
            with pytest.raises(StaleAttempt):
                await line.channel.report(report)
        with pytest.raises(StaleAttempt):
            await line.channel.renew()
        with pytest.raises(StaleAttempt):
            await line.channel.begin(await line.issue(Verb.CHAT))
        assert await line.status() is Status.JOINING
