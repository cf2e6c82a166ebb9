"""Verbs without a room that could do them, once and only once, and in their order (D3, PL-16)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from bot.browser.bridge import Bridge
from bot.capture.recorder import Recorder
from bot.competing import Notetakers
from bot.control import Outcome, Verb
from bot.hearing import MAX_WAITING, Commands
from bot.news import RoomNews
from bot.objects import JobObjects
from bot.observing import RoomObserver
from bot.platforms.media import Media
from bot.platforms.room import Capabilities, Entry, Sight, View
from bot.reporting import Reporter
from bot.switching import RecordingSwitch
from bot.verbs import Performer
from core.clock import SystemClock
from core.errors import StaleAttempt, Unavailable
from core.jobs.spec import RecordingOptions
from tests.bot.capture.conftest import spec
from tests.support.channel import MemoryChannel

pytestmark = pytest.mark.unit


CHAT = Capabilities(chat=True)


@dataclass
class PaperRoom:
    """A room in which messages are written down; posting one waits until `posting` is set."""

    capabilities: Capabilities = CHAT
    posted: list[str] = field(default_factory=list)
    posting: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: Exception | None = None

    async def open(self) -> None: ...

    async def ask_to_join(self, entry: Entry) -> None: ...

    async def look(self) -> Sight:
        return Sight(View.IN_ROOM)

    async def settle_in(self) -> None: ...

    async def stop_incoming_video(self) -> bool:
        return False

    async def send_chat(self, text: str) -> None:
        self.posted.append(text)
        if self.trouble is not None:
            raise self.trouble
        await self.posting.wait()

    async def pin(self, platform_id: str, display_name: str) -> None: ...

    async def screenshot(self) -> bytes:
        return b""

    async def speak(self, media: Media, *, loop: bool) -> None: ...

    async def show_image(self, media: Media) -> None: ...

    async def share_video(self, media: Media, *, loop: bool) -> None: ...

    async def stop_output(self) -> None: ...

    async def until_output_ends(self) -> None:
        await asyncio.Event().wait()

    async def tidy_output(self) -> None: ...

    async def leave(self) -> None: ...


class Silent:
    """A bridge whose page says nothing."""

    def on(self, *_: Any) -> None: ...


class Bot:
    """Everything between a channel and a room, with no page and no browser behind it."""

    def __init__(self, tmp_path: Any) -> None:
        clock = SystemClock()
        self.channel = MemoryChannel()
        self.reporter = Reporter(self.channel, clock)
        self.commands = Commands(self.channel, self.reporter.stale, clock)
        job = spec(RecordingOptions(video="off"))
        bridge = cast(Bridge, Silent())
        recorder = Recorder(job, tmp_path / "job", bridge, clock)
        news = RoomNews(clock, self.reporter.note, Notetakers(), leaving=False)
        observer = RoomObserver(bridge, recorder, clock, news)
        self.performer = Performer(
            self.commands,
            RecordingSwitch(recorder, observer, self.reporter),
            observer.roster,
            news,
            JobObjects(None, job.job_id),
            clock,
        )
        self._tasks: list[asyncio.Task[Any]] = []

    def listen(self) -> None:
        self._tasks.append(asyncio.create_task(self.commands.listen()))

    def enter(self, room: PaperRoom) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(self.performer.perform(room))
        self._tasks.append(task)
        return task

    async def answer(self, command_id: str) -> tuple[Outcome, str]:
        await self.channel.until(lambda channel: command_id in channel.settled, 10)
        return self.channel.settled[command_id]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def bot(tmp_path: Any) -> AsyncIterator[Bot]:
    bot = Bot(tmp_path)
    bot.listen()
    yield bot
    await bot.close()


async def until_posted(room: PaperRoom, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while len(room.posted) < count:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("verb", "payload", "what"),
    [
        (Verb.CHAT, {"message": "Hi"}, "chat"),
        (Verb.CONSENT, {"message": "May I?"}, "chat"),
        (Verb.PIN, {"displayName": "Ada"}, "pinning"),
        (Verb.SCREENSHOT, {}, "screenshots"),
        (
            Verb.OUTPUT_MEDIA,
            {"kind": "audio", "key": "recordings/x/.media/y", "mimeType": "audio/wav"},
            "output of audio",
        ),
        (Verb.STOP_OUTPUT_MEDIA, {}, "output"),
    ],
)
async def test_what_a_platform_lacks_is_refused_in_words(
    bot: Bot, verb: Verb, payload: dict[str, Any], what: str
) -> None:
    """PL-16."""
    bot.enter(PaperRoom(Capabilities()))
    outcome, detail = await bot.answer(await bot.channel.issue(verb, payload))
    assert outcome is Outcome.REFUSED
    assert what in detail
    assert "platform" in detail


@pytest.mark.parametrize(
    ("verb", "payload", "where"),
    [
        (Verb.CHAT, {}, "message"),
        (Verb.PIN, {"participantId": 3}, "participantId"),
        (Verb.OUTPUT_MEDIA, {"kind": "smell", "key": "k", "mimeType": "x"}, "kind"),
    ],
)
async def test_a_payload_that_lacks_something_is_refused(
    bot: Bot, verb: Verb, payload: dict[str, Any], where: str
) -> None:
    bot.enter(PaperRoom(Capabilities(chat=True, pin=True, speak=True)))
    outcome, detail = await bot.answer(await bot.channel.issue(verb, payload))
    assert outcome is Outcome.REFUSED
    assert where in detail


async def test_nobody_of_that_name_is_said(bot: Bot) -> None:
    bot.enter(PaperRoom(Capabilities(pin=True)))
    command = await bot.channel.issue(Verb.PIN, {"displayName": "Zoe", "participantId": None})
    assert await bot.answer(command) == (Outcome.REFUSED, "Nobody in the room is 'Zoe'.")


async def test_media_of_another_job_are_not_fetched(bot: Bot) -> None:
    bot.enter(PaperRoom(Capabilities(speak=True, share_video=False)))
    payload = {"kind": "audio", "key": "recordings/job_other/.media/c", "mimeType": "audio/wav"}
    outcome, detail = await bot.answer(await bot.channel.issue(Verb.OUTPUT_MEDIA, payload))
    assert outcome is Outcome.REFUSED
    assert "not media of this job" in detail


async def test_verbs_are_done_one_after_another_in_their_order(bot: Bot) -> None:
    commands = [await bot.channel.issue(Verb.CHAT, {"message": f"{n}"}) for n in range(3)]
    room = PaperRoom()
    bot.enter(room)
    await until_posted(room)
    assert room.posted == ["0"]
    room.posting.set()
    for command in commands:
        assert (await bot.answer(command))[0] is Outcome.DONE
    assert room.posted == ["0", "1", "2"]


async def test_a_message_that_may_have_been_posted_is_not_posted_again(bot: Bot) -> None:
    """D3: the room went away while the bot posted; in the next one it is not repeated."""
    command = await bot.channel.issue(Verb.CHAT, {"message": "Hi"})
    room = PaperRoom()
    stay = bot.enter(room)
    await until_posted(room)
    stay.cancel()
    with suppress(asyncio.CancelledError):
        await stay
    again = PaperRoom()
    again.posting.set()
    bot.enter(again)
    assert (await bot.answer(command))[0] is Outcome.UNKNOWN
    assert again.posted == []


async def test_a_verb_that_fails_is_answered_and_the_next_is_done(bot: Bot) -> None:
    """A fault of ours, too, ends in an answer and not in the stay."""
    room = PaperRoom(trouble=ZeroDivisionError())
    stay = bot.enter(room)
    outcome, detail = await bot.answer(await bot.channel.issue(Verb.CHAT, {"message": "Hi"}))
    assert (outcome, "ZeroDivisionError" in detail) == (Outcome.REFUSED, True)
    room.trouble = None
    room.posting.set()
    second = await bot.channel.issue(Verb.CHAT, {"message": "Hi"})
    assert (await bot.answer(second))[0] is Outcome.DONE
    assert not stay.done()


async def test_an_outdated_attempt_does_nothing_more(bot: Bot) -> None:
    """D10."""
    room = PaperRoom()
    stay = bot.enter(room)
    bot.channel.outdated = True
    await bot.channel.issue(Verb.CHAT, {"message": "Hi"})
    with pytest.raises(StaleAttempt):
        await asyncio.wait_for(stay, 10)
    assert room.posted == []


async def test_nothing_is_posted_while_the_job_store_cannot_be_asked(bot: Bot) -> None:
    room = PaperRoom()
    bot.enter(room)
    bot.channel.trouble = Unavailable("away")
    outcome, detail = await bot.answer(await bot.channel.issue(Verb.CHAT, {"message": "Hi"}))
    assert (outcome, room.posted) == (Outcome.REFUSED, [])
    assert "nothing was done" in detail


class LosesSettlements(MemoryChannel):
    """The store is away when an answer is told, once."""

    lost = False

    async def settle(self, command_id: str, *rest: Any, **more: Any) -> None:
        if not self.lost:
            self.lost = True
            raise Unavailable("The connection broke.")
        await super().settle(command_id, *rest, **more)


async def test_an_answer_that_could_not_be_told_is_told_later(tmp_path: Any) -> None:
    bot = Bot(tmp_path)
    channel = LosesSettlements()
    bot.channel = channel
    bot.commands._channel = channel
    bot.listen()
    room = PaperRoom()
    room.posting.set()
    bot.enter(room)
    first = await channel.issue(Verb.CHAT, {"message": "1"})
    await until_posted(room)
    second = await channel.issue(Verb.CHAT, {"message": "2"})
    assert (await bot.answer(second))[0] is Outcome.DONE
    assert (await bot.answer(first))[0] is Outcome.DONE
    assert room.posted == ["1", "2"]
    await bot.close()


async def test_what_still_waits_when_the_bot_leaves_is_answered(bot: Bot) -> None:
    waiting = await bot.channel.issue(Verb.SCREENSHOT)
    leave = await bot.channel.issue(Verb.LEAVE)
    await asyncio.wait_for(bot.commands.asked_to_go.wait(), 10)
    await bot.commands.settle("The bot has left.")
    assert await bot.answer(waiting) == (Outcome.REFUSED, "The bot has left.")
    assert await bot.answer(leave) == (Outcome.DONE, "The bot has left.")


async def test_no_more_verbs_wait_than_can_be_kept(bot: Bot) -> None:
    for _ in range(MAX_WAITING):
        await bot.channel.issue(Verb.SCREENSHOT)
    outcome, detail = await bot.answer(await bot.channel.issue(Verb.SCREENSHOT))
    assert (outcome, "waiting already" in detail) == (Outcome.REFUSED, True)
