"""In the room: what is recorded, and everything that ends a stay (LC, FC, D3, D10)."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.control import Outcome, Verb
from bot.recording.finalize import finalize
from bot.session import Ending, MeetingSession
from core.errors import (
    BotFault,
    LobbyTimeout,
    NetworkLoss,
    RemovedFromMeeting,
    StaleAttempt,
    Unavailable,
)
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event
from core.jobs.spec import AutoLeavePolicy
from core.recordings.recording import Recording
from sandbox.client import SandboxClient
from sandbox.schemas import HostAction, RoomOptions
from tests.bot.session.conftest import Senders, Sent
from tests.bot.session.test_joining import has_bot, until
from tests.support.channel import MemoryChannel
from tests.support.sandbox import running_sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


def recording(channel: MemoryChannel) -> bool:
    return Event.MEDIA_CAPTURED in channel.events


async def capturing(sent: Sent, session: MeetingSession) -> asyncio.Task[Ending]:
    """In the room with the first media on disk."""
    await session.join()
    capture = asyncio.create_task(session.capture())
    await sent.channel.until(recording)
    return capture


def recorded(sent: Sent) -> Recording:
    return finalize(sent.work_dir)


async def test_a_leave_command_ends_the_stay_and_keeps_what_was_recorded(
    senders: Senders, client: SandboxClient
) -> None:
    """LC-14, LC-03, PL-09, PL-11, PL-12: everybody by name, each in a file of their own."""
    sent = await senders.send(RoomOptions(video=True))
    async with sent.session as session:
        capture = await capturing(sent, session)
        await sent.channel.until(
            lambda channel: channel.progress is not None and len(channel.progress.participants) == 3
        )
        page = session._page
        assert page is not None
        toggle = page.get_by_test_id("incoming-video")
        assert await toggle.get_attribute("aria-pressed") == "false"
        asked = time.monotonic()
        command = await sent.channel.issue(Verb.LEAVE)
        await until(client, sent, lambda view: not has_bot(view))
        # 300 ms are promised on an idle machine; this one runs other tests too.
        assert time.monotonic() - asked < 2
        ending = await capture
    assert ending == Ending(ExitReason.LEAVE_REQUESTED, None, cancelled=False)
    assert sent.channel.settled[command][0] is Outcome.DONE
    assert sent.channel.events == [Event.BOT_STARTED, Event.ADMITTED, Event.MEDIA_CAPTURED]
    result = recorded(sent)
    assert result.exit_reason is ExitReason.LEAVE_REQUESTED
    assert [one.display_name for one in result.participants] == [
        "Ada Park",
        "Ben Ortiz",
        "Cleo Marsh",
    ]
    files = {file.participant_id: file for file in result.media}
    assert set(files) == {one.id for one in result.participants}
    assert {file.attribution for file in result.media} == {"track-owner"}
    assert not session._bridge.refused


async def test_a_cancel_ends_as_cancelled(senders: Senders) -> None:
    """LC-13: what was captured stays."""
    sent = await senders.send()
    async with sent.session as session:
        capture = await capturing(sent, session)
        await sent.channel.issue(Verb.CANCEL)
        ending = await capture
    assert ending == Ending(ExitReason.CANCELLED, None, cancelled=True)
    assert recorded(sent).media


async def test_being_removed_fails_with_the_pages_words(
    senders: Senders, client: SandboxClient
) -> None:
    """LC-17, FC-02."""
    sent = await senders.send()
    async with sent.session as session:
        capture = await capturing(sent, session)
        view = await until(client, sent, has_bot)
        (bot,) = [one for one in view.participants if one.display_name == "meetbot"]
        assert sent.room is not None
        await client.host(sent.room.room_id, HostAction.KICK, bot.participant_id)
        ending = await capture
    assert ending.exit_reason is ExitReason.KICKED
    assert isinstance(ending.failure, RemovedFromMeeting)
    assert "removed you" in ending.failure.message
    assert recorded(sent).exit_reason is ExitReason.KICKED
    evidence = sent.work_dir / "evidence"
    assert {path.name for path in evidence.iterdir()} >= {"stay-1-1.png", "stay-1-1.html"}


async def test_the_end_of_the_meeting_completes(senders: Senders, client: SandboxClient) -> None:
    sent = await senders.send()
    async with sent.session as session:
        capture = await capturing(sent, session)
        assert sent.room is not None
        await client.host(sent.room.room_id, HostAction.END)
        ending = await capture
    assert ending == Ending(ExitReason.CALL_ENDED, None, cancelled=False)


async def test_a_lost_server_is_a_network_loss_after_the_grace_time(senders: Senders) -> None:
    """FC-09."""
    with running_sandbox() as own:
        async with own.client() as client:
            room = await client.create_room(RoomOptions(video=False))
        sent = await senders.send(
            room_url=room.guest_url, origin=own.origin, bot={"network_grace_seconds": 1}
        )
        async with sent.session as session:
            capture = await capturing(sent, session)
            await asyncio.to_thread(own.stop)
            ending = await capture
    assert ending.exit_reason is ExitReason.NETWORK_LOSS
    assert isinstance(ending.failure, NetworkLoss)
    assert recorded(sent).media


async def test_an_empty_room_fails_after_the_entry_delay(
    senders: Senders, client: SandboxClient
) -> None:
    """LC-26: nobody ever came."""
    sent = await senders.send(
        RoomOptions(script=None), auto_leave=AutoLeavePolicy(after_entry_delay_seconds=2)
    )
    async with sent.session as session:
        await session.join()
        ending = await session.capture()
        await until(client, sent, lambda view: not has_bot(view))
    assert ending.exit_reason is ExitReason.ENTRY_DELAY
    assert isinstance(ending.failure, LobbyTimeout)


async def test_the_longest_stay_is_bounded(senders: Senders) -> None:
    """LC-29."""
    sent = await senders.send(auto_leave=AutoLeavePolicy(after_max_seconds=4))
    async with sent.session as session:
        await session.join()
        began = time.monotonic()
        ending = await session.capture()
    assert ending == Ending(ExitReason.MAX_DURATION, None, cancelled=False)
    assert time.monotonic() - began > 3


async def test_an_outdated_attempt_leaves_without_a_trace(
    senders: Senders, client: SandboxClient
) -> None:
    """D10."""
    sent = await senders.send()
    async with sent.session as session:
        capture = await capturing(sent, session)
        told = len(sent.channel.reports)
        sent.channel.outdated = True
        with pytest.raises(StaleAttempt):
            await capture
        await until(client, sent, lambda view: not has_bot(view))
    assert len(sent.channel.reports) == told


async def test_recording_goes_on_while_the_job_store_is_away(senders: Senders) -> None:
    """D10."""
    sent = await senders.send()
    async with sent.session as session:
        await session.join()
        sent.channel.trouble = Unavailable("The database is away.")
        capture = asyncio.create_task(session.capture())
        async with asyncio.timeout(20):
            await session._recorder.media_captured.wait()
        sent.channel.trouble = None
        await sent.channel.until(recording)
        await sent.channel.issue(Verb.LEAVE)
        await capture
    assert sent.channel.events == [Event.BOT_STARTED, Event.ADMITTED, Event.MEDIA_CAPTURED]


async def test_stopping_twice_keeps_the_first_ending(senders: Senders) -> None:
    """D4: a cancel in the Prefect UI stops the session from outside."""
    sent = await senders.send()
    async with sent.session as session:
        capture = await capturing(sent, session)
        capture.cancel()
        await asyncio.gather(capture, return_exceptions=True)
        first = await session.stop(ExitReason.CANCELLED)
        assert await session.stop(ExitReason.ERROR) is first
    assert first == Ending(ExitReason.CANCELLED, None, cancelled=True)
    assert recorded(sent).exit_reason is ExitReason.CANCELLED


async def test_leaving_the_block_leaves_the_meeting(
    senders: Senders, client: SandboxClient
) -> None:
    sent = await senders.send()

    async def broken_flow() -> None:
        async with sent.session as session:
            capture = await capturing(sent, session)
            capture.cancel()
            raise RuntimeError("the flow broke")

    with pytest.raises(RuntimeError, match="the flow broke"):
        await broken_flow()
    await until(client, sent, lambda view: not has_bot(view))
    assert recorded(sent).exit_reason is ExitReason.ERROR


async def test_nothing_is_captured_before_joining(senders: Senders) -> None:
    sent = await senders.send()
    async with sent.session as session:
        with pytest.raises(BotFault, match="before the bot is in the room"):
            await session.capture()
