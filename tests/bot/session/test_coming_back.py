"""Falling out of a meeting that goes on, and coming back in the same process (D10, FC-09)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from bot.browser.launch import Chromium
from bot.control import Verb
from bot.session import Ending
from core.errors import NetworkLoss, RemovedFromMeeting
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event
from sandbox.client import SandboxClient
from sandbox.schemas import HostAction, RoomOptions, RoomView
from tests.bot.session.conftest import Senders, Sent
from tests.bot.session.test_joining import until
from tests.bot.session.test_staying import capturing, recorded
from tests.support.gate import Gate
from tests.support.sandbox import SandboxServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# Ten for the verdict, the rest for a busy machine.
BACK_SECONDS = 40


def bots(view: RoomView) -> list[str]:
    return [one.participant_id for one in view.participants if one.display_name == "meetbot"]


def renderers(chromium: Chromium) -> list[psutil.Process]:
    """The processes of the browser's pages."""
    assert chromium.pid is not None
    family = psutil.Process(chromium.pid).children(recursive=True)
    return [one for one in family if "--type=renderer" in " ".join(one.cmdline())]


def network(chromium: Chromium) -> list[psutil.Process]:
    """The process through which everything goes that the browser sends or receives."""
    assert chromium.pid is not None
    family = psutil.Process(chromium.pid).children(recursive=True)
    return [one for one in family if "network.mojom.NetworkService" in " ".join(one.cmdline())]


def kill_browser(chromium: Chromium) -> None:
    assert chromium.pid is not None
    os.kill(chromium.pid, signal.SIGKILL)


def kill_page(chromium: Chromium) -> None:
    for process in renderers(chromium):
        process.kill()


def freeze_page(chromium: Chromium) -> None:
    for process in renderers(chromium):
        process.suspend()


def cut_network(chromium: Chromium) -> None:
    (process,) = network(chromium)
    process.suspend()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (kill_browser, "browser crashed"),
        (kill_page, "page crashed"),
        (freeze_page, "did not answer"),
        # Both are true; on a busy machine the page may be the first to notice.
        (cut_network, "connections to the meeting were dead|the page lost the room"),
    ],
    ids=["killed-browser", "killed-page", "frozen-page", "cut-network"],
)
async def test_the_bot_comes_back_into_the_same_recording(
    senders: Senders,
    client: SandboxClient,
    harm: Callable[[Chromium], None],
    reason: str,
) -> None:
    """One timeline with a gap, the same people, one bot, and a status that never changed."""
    sent = await senders.send()
    async with sent.session as session:
        capture = await capturing(sent, session)
        first = bots(await until(client, sent, lambda view: len(bots(view)) == 1))
        people = await heard_people(sent)
        chromium = session._chromium
        assert chromium is not None
        began = time.monotonic()
        harm(chromium)
        await until(client, sent, lambda view: bots(view) not in ([], first), BACK_SECONDS)
        away = time.monotonic() - began
        view = await until(client, sent, lambda view: len(bots(view)) == 1)
        assert bots(view) != first
        assert await heard_people(sent) == people
        await sent.channel.issue(Verb.LEAVE)
        ending = await capture
    assert ending == Ending(ExitReason.LEAVE_REQUESTED, None, cancelled=False)
    assert sent.channel.events == [Event.BOT_STARTED, Event.ADMITTED, Event.MEDIA_CAPTURED]
    result = recorded(sent)
    (gap,) = result.gaps
    assert re.search(reason, gap.reason)
    assert 0 < gap.end_ms - gap.start_ms < 1000 * away + 5000
    length_ms = {file.end_offset_ms for file in result.media}
    assert len(length_ms) == 1
    expected = (length_ms.pop() - (gap.end_ms - gap.start_ms)) // 1000
    assert result.recorded_seconds == expected
    assert len(result.media) == len(people) == 3
    assert [one.id for one in result.participants if one.id in people] == [*people]


async def heard_people(sent: Sent) -> list[str]:
    """Everybody in the room, once the bot hears from all of them."""
    mark = len(sent.channel.reports)
    await sent.channel.until(
        lambda channel: (
            len(channel.reports) > mark
            and channel.progress is not None
            and len(channel.progress.participants) == 3
        )
    )
    assert sent.channel.progress is not None
    return [one.participant_id for one in sent.channel.progress.participants]


async def test_a_meeting_in_which_everybody_is_muted_is_left_alone(
    senders: Senders, client: SandboxClient
) -> None:
    """Quiet is not dead: longer than any verdict takes."""
    sent = await senders.send()
    async with sent.session as session:
        capture = await capturing(sent, session)
        first = bots(await until(client, sent, lambda view: len(bots(view)) == 1))
        assert sent.room is not None
        await client.host(sent.room.room_id, HostAction.MUTE)
        assert sent.channel.progress is not None
        quiet_until = sent.channel.progress.recorded_seconds + 14
        await sent.channel.until(
            lambda channel: (
                channel.progress is not None and channel.progress.recorded_seconds > quiet_until
            ),
            seconds=60,
        )
        assert bots(await client.room(sent.room.room_id)) == first
        await sent.channel.issue(Verb.LEAVE)
        await capture
    assert recorded(sent).gaps == ()


async def test_a_meeting_that_ends_while_the_bot_is_away_is_complete(
    senders: Senders, client: SandboxClient
) -> None:
    sent = await senders.send()
    async with sent.session as session:
        capture = await capturing(sent, session)
        chromium = session._chromium
        assert chromium is not None
        assert sent.room is not None
        await client.host(sent.room.room_id, HostAction.END)
        kill_browser(chromium)
        ending = await capture
    assert ending == Ending(ExitReason.CALL_ENDED, None, cancelled=False)
    assert len(recorded(sent).media) == 3


async def test_a_host_who_does_not_let_the_bot_in_again_has_removed_it(
    senders: Senders, client: SandboxClient
) -> None:
    """FC-05: what was recorded is delivered, and billed by the 60-second rule."""
    sent = await senders.send(RoomOptions(lobby=True, video=False))
    assert sent.room is not None
    room_id = sent.room.room_id
    async with sent.session as session:
        joining = asyncio.create_task(capturing(sent, session))
        view = await until(client, sent, lambda view: bool(view.lobby))
        await client.host(room_id, HostAction.ADMIT, view.lobby[0].participant_id)
        capture = await joining
        chromium = session._chromium
        assert chromium is not None
        kill_browser(chromium)
        view = await until(client, sent, lambda view: bool(view.lobby), BACK_SECONDS)
        await client.host(room_id, HostAction.DENY, view.lobby[0].participant_id)
        ending = await capture
    assert ending.exit_reason is ExitReason.KICKED
    assert isinstance(ending.failure, RemovedFromMeeting)
    assert Event.LOBBY_SHOWN not in sent.channel.events[2:], "the status changed"
    assert recorded(sent).exit_reason is ExitReason.KICKED


async def test_a_leave_is_heard_while_the_bot_is_away(
    senders: Senders, client: SandboxClient
) -> None:
    sent = await senders.send(RoomOptions(lobby=True, video=False))
    assert sent.room is not None
    async with sent.session as session:
        joining = asyncio.create_task(capturing(sent, session))
        view = await until(client, sent, lambda view: bool(view.lobby))
        await client.host(sent.room.room_id, HostAction.ADMIT)
        capture = await joining
        chromium = session._chromium
        assert chromium is not None
        kill_browser(chromium)
        await until(client, sent, lambda view: bool(view.lobby), BACK_SECONDS)
        await sent.channel.issue(Verb.LEAVE)
        ending = await capture
        await until(client, sent, lambda view: not view.lobby)
    assert ending == Ending(ExitReason.LEAVE_REQUESTED, None, cancelled=False)
    (gap,) = recorded(sent).gaps
    assert "crashed" in gap.reason
    assert view.lobby


@pytest.mark.parametrize("comes_back", [True, False], ids=["short", "long"])
async def test_a_server_that_is_lost_for_a_while(
    senders: Senders, sandbox: SandboxServer, client: SandboxClient, comes_back: bool
) -> None:
    """FC-09: within the grace time the recording goes on, after it the job has lost its network."""
    gate = Gate(sandbox.origin)
    gate.start()
    try:
        made = await client.create_room(RoomOptions(video=False))
        url = made.guest_url.replace(sandbox.origin, gate.origin)
        grace = 60 if comes_back else 3
        sent = await senders.send(
            room_url=url, origin=gate.origin, bot={"network_grace_seconds": grace}
        )
        sent.room = made
        async with sent.session as session:
            capture = await capturing(sent, session)
            first = bots(await client.room(made.room_id))
            gate.shut()
            await until(client, sent, lambda view: bots(view) == [])
            if comes_back:
                told = len(sent.channel.reports)
                await sent.channel.until(lambda channel: len(channel.reports) > told + 1)
                gate.open()
                await until(client, sent, lambda view: bots(view) not in ([], first), BACK_SECONDS)
                await sent.channel.issue(Verb.LEAVE)
            ending = await capture
    finally:
        gate.stop()
    if comes_back:
        assert ending.exit_reason is ExitReason.LEAVE_REQUESTED
    else:
        assert ending.exit_reason is ExitReason.NETWORK_LOSS
        assert isinstance(ending.failure, NetworkLoss)
    (gap,) = recorded(sent).gaps
    assert "lost the room" in gap.reason
