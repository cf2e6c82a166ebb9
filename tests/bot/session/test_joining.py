"""On the way into the room: how it goes well, and each way in which it does not (LC, FC, PL)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from bot.control import Outcome, Verb
from bot.joining import LOOK_SECONDS
from bot.platforms.room import View
from bot.session import MeetingSession
from bot.visit import Visit
from core.clock import SystemClock
from core.errors import (
    BotFault,
    BrowserFailed,
    HostDenied,
    JobCancelled,
    LobbyTimeout,
    MeetingEnded,
    MeetingError,
    MeetingNotFound,
    RoomUnreachable,
    StaleAttempt,
    Unavailable,
    UnknownScreen,
)
from core.jobs.lifecycle import Event
from core.jobs.spec import AutoLeavePolicy
from sandbox.client import SandboxClient
from sandbox.schemas import HostAction, RoomOptions, RoomView
from tests.bot.session.conftest import Senders, Sent

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

LOBBY = RoomOptions(lobby=True, video=False)


async def until(
    client: SandboxClient, sent: Sent, holds: Callable[[RoomView], bool], seconds: float = 15
) -> RoomView:
    """The room as soon as something holds of it."""
    assert sent.room is not None
    async with asyncio.timeout(seconds):
        while not holds(view := await client.room(sent.room.room_id)):
            await asyncio.sleep(0.05)
    return view


def has_bot(view: RoomView) -> bool:
    return any(one.display_name == "meetbot" for one in view.participants)


async def failure(sent: Sent) -> MeetingError:
    async with sent.session as session:
        with pytest.raises(MeetingError) as caught:
            await session.join()
    return caught.value


async def test_an_open_room_is_entered_without_a_lobby(
    senders: Senders, client: SandboxClient
) -> None:
    """LC-04, PL-04, PL-05, PL-31: directly, as a guest with the given name and nothing on."""
    sent = await senders.send()
    async with sent.session as session:
        assert sent.channel.events == [Event.BOT_STARTED]
        await session.join()
        assert sent.channel.events == [Event.BOT_STARTED, Event.ADMITTED]
        view = await until(client, sent, has_bot)
        (bot,) = [one for one in view.participants if one.display_name == "meetbot"]
        assert (bot.microphone, bot.camera, bot.host) == (False, False, False)
    await until(client, sent, lambda view: not has_bot(view))


async def test_the_lobby_is_waited_in_until_the_host_admits(
    senders: Senders, client: SandboxClient
) -> None:
    """PL-06, LC-03."""
    sent = await senders.send(LOBBY)
    async with sent.session as session:
        joining = asyncio.create_task(session.join())
        await sent.channel.until(lambda channel: Event.LOBBY_SHOWN in channel.events)
        view = await until(client, sent, lambda view: bool(view.lobby))
        assert sent.room is not None
        await client.host(sent.room.room_id, HostAction.ADMIT, view.lobby[0].participant_id)
        await joining
    assert sent.channel.events == [Event.BOT_STARTED, Event.LOBBY_SHOWN, Event.ADMITTED]


def browser_of(session: MeetingSession) -> Visit:
    assert isinstance(session._visit, Visit)
    return session._visit


async def at_the_door(session: MeetingSession) -> Page:
    """Until the bot has got ready; its page."""
    async with asyncio.timeout(30):
        while browser_of(session)._door is None:
            await asyncio.sleep(0.02)
    assert session._page is not None
    return session._page


async def test_a_bot_gets_ready_before_its_time_and_nobody_notices(
    senders: Senders, client: SandboxClient
) -> None:
    """D11, API-54: browser and page are there, the job is `queued`, and the lobby is empty."""
    due = SystemClock().now() + timedelta(minutes=1)
    sent = await senders.send(LOBBY, join_at=due)
    async with sent.session as session:
        page = await at_the_door(session)
        assert sent.channel.events == []
        assert sent.room is not None
        view = await client.room(sent.room.room_id)
        assert view.lobby == ()
        assert {one.kind for one in view.participants} == {"scripted"}
        joining = asyncio.create_task(session.join())
        await sent.channel.until(lambda channel: Event.LOBBY_SHOWN in channel.events)
        await client.host(sent.room.room_id, HostAction.ADMIT)
        await joining
        assert session._page is page, "it was loaded once"
    assert sent.channel.events == [Event.BOT_STARTED, Event.LOBBY_SHOWN, Event.ADMITTED]


@pytest.mark.parametrize("what", ["the page", "the browser"])
async def test_what_dies_while_the_bot_waits_is_replaced(senders: Senders, what: str) -> None:
    """D11: without an attempt being lost."""
    due = SystemClock().now() + timedelta(minutes=1)
    sent = await senders.send(join_at=due)
    async with sent.session as session:
        page = await at_the_door(session)
        chromium = session._chromium
        assert chromium is not None
        if what == "the page":
            chromium.crashed.set()
        else:
            chromium.kill()
            await chromium.gone.wait()
        await session.join()
        assert session._page is not page
    assert sent.channel.events == [Event.BOT_STARTED, Event.ADMITTED]


async def test_a_host_who_refuses_ends_the_job(senders: Senders, client: SandboxClient) -> None:
    sent = await senders.send(LOBBY)
    async with sent.session as session:
        joining = asyncio.create_task(session.join())
        view = await until(client, sent, lambda view: bool(view.lobby))
        assert sent.room is not None
        await client.host(sent.room.room_id, HostAction.DENY, view.lobby[0].participant_id)
        with pytest.raises(HostDenied, match="did not let you in") as caught:
            await joining
    assert not caught.value.retryable


async def test_a_lobby_that_nobody_opens_times_out(senders: Senders, client: SandboxClient) -> None:
    """LC-26, FC-02: the detail quotes what the page said; the bot does not stay at the door."""
    sent = await senders.send(LOBBY, auto_leave=AutoLeavePolicy(after_entry_delay_seconds=1))
    async with sent.session as session:
        with pytest.raises(LobbyTimeout, match="Waiting for the host to let you in"):
            await session.join()
        await until(client, sent, lambda view: not view.lobby)


async def test_an_unknown_room_is_not_found(senders: Senders, sandbox: Any) -> None:
    error = await failure(await senders.send(room_url=f"{sandbox.origin}/r/nosuchroom?t=x"))
    assert isinstance(error, MeetingNotFound)
    assert not error.retryable


async def test_a_wrong_token_finds_no_room(senders: Senders) -> None:
    sent = await senders.send()
    assert sent.room is not None
    url = sent.room.guest_url.partition("?")[0] + "?t=wrong"
    assert isinstance(await failure(await senders.send(room_url=url)), MeetingNotFound)


async def test_a_meeting_that_is_over_is_not_joined(
    senders: Senders, client: SandboxClient
) -> None:
    sent = await senders.send(LOBBY)
    async with sent.session as session:
        joining = asyncio.create_task(session.join())
        await until(client, sent, lambda view: bool(view.lobby))
        assert sent.room is not None
        await client.host(sent.room.room_id, HostAction.END)
        with pytest.raises(MeetingEnded):
            await joining


async def test_a_server_that_does_not_answer_is_worth_another_attempt(senders: Senders) -> None:
    gone = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{gone.sockets[0].getsockname()[1]}"
    gone.close()
    await gone.wait_closed()
    error = await failure(await senders.send(room_url=f"{origin}/r/x", origin=origin))
    assert isinstance(error, RoomUnreachable)
    assert error.retryable


@pytest.fixture
async def odd_server() -> AsyncIterator[Callable[[str, str], str]]:
    """Serves one answer for everything; gives its origin."""
    answer = {"status": "200 OK", "body": ""}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = answer["body"].encode()
        head = f"HTTP/1.1 {answer['status']}\r\nContent-Type: text/html\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)

    def answers(status: str, body: str) -> str:
        answer.update(status=status, body=body)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield answers
    server.close()


async def test_what_is_wrong_before_the_time_counts_for_nothing(
    senders: Senders, odd_server: Callable[[str, str], str]
) -> None:
    """D11: the door is looked at again when the meeting is due."""
    origin = odd_server("503 Service Unavailable", "busy")
    due = SystemClock().now() + timedelta(minutes=1)
    sent = await senders.send(room_url=f"{origin}/r/x", origin=origin, join_at=due)
    async with sent.session as session:
        launching = browser_of(session)._launching
        assert launching is not None
        await asyncio.wait({launching})
        odd_server("404 Not Found", "no such meeting")
        with pytest.raises(MeetingNotFound):
            await session.join()
    assert sent.channel.events == [Event.BOT_STARTED]


async def test_a_server_error_is_worth_another_attempt(
    senders: Senders, odd_server: Callable[[str, str], str]
) -> None:
    origin = odd_server("503 Service Unavailable", "busy")
    error = await failure(await senders.send(room_url=f"{origin}/r/x", origin=origin))
    assert isinstance(error, RoomUnreachable)
    assert "503" in error.message


async def test_a_page_that_nobody_knows_leaves_evidence(
    senders: Senders, odd_server: Callable[[str, str], str]
) -> None:
    origin = odd_server("200 OK", "<h1>Something else</h1><script>let key='secret'</script>")
    sent = await senders.send(
        room_url=f"{origin}/r/x?t=secret", origin=origin, bot={"join_timeout_seconds": 1}
    )
    error = await failure(sent)
    assert isinstance(error, UnknownScreen)
    evidence = sent.work_dir / "evidence"
    document = (evidence / "join-1-1.html").read_text()
    assert "Something else" in document
    assert "secret" not in document
    assert (evidence / "join-1-1.url.txt").read_text() == f"{origin}/r/x?t=[redacted]\n"
    assert (evidence / "join-1-1.png").read_bytes().startswith(b"\x89PNG")
    assert "join-1-1.png" in error.message


async def test_a_browser_that_does_not_start_is_our_fault(senders: Senders) -> None:
    error = await failure(await senders.send(bot={"chromium": Path("/bin/false")}))
    assert isinstance(error, BrowserFailed)
    assert "MEETBOT_BOT__CHROMIUM" in error.message


async def test_without_chromiums_sandbox_only_trusted_pages_are_opened(senders: Senders) -> None:
    error = await failure(await senders.send(room_url="https://meet.example/x", driver="sandbox"))
    assert isinstance(error, BotFault)
    assert "UNSAFE_NO_SANDBOX" in error.message


async def test_a_platform_without_a_driver_is_refused(senders: Senders) -> None:
    sent = await senders.send(driver="discord", bot={"unsafe_no_sandbox": False})
    assert "no driver for discord" in (await failure(sent)).message


async def test_a_cancelled_job_leaves_the_door(senders: Senders, client: SandboxClient) -> None:
    """LC-12: no failure, and the host's lobby is empty again."""
    sent = await senders.send(LOBBY)
    async with sent.session as session:
        joining = asyncio.create_task(session.join())
        await sent.channel.until(lambda channel: Event.LOBBY_SHOWN in channel.events)
        command = await sent.channel.issue(Verb.CANCEL)
        with pytest.raises(JobCancelled):
            await joining
        await until(client, sent, lambda view: not view.lobby, seconds=3)
    assert sent.channel.settled[command][0] is Outcome.DONE
    assert sent.channel.events == [Event.BOT_STARTED, Event.LOBBY_SHOWN]


async def test_what_a_page_shows_of_a_withdrawn_bot_is_no_failure(
    senders: Senders, client: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LC-12: a page tells a guest who leaves its lobby that it has left, or is slow to go."""
    sent = await senders.send(LOBBY)
    async with sent.session as session:
        joining = asyncio.create_task(session.join())
        await sent.channel.until(lambda channel: Event.LOBBY_SHOWN in channel.events)
        view = await until(client, sent, lambda view: bool(view.lobby))
        leave = session._visit.leave

        async def refused_on_the_way_out() -> None:
            assert sent.room is not None
            await client.host(sent.room.room_id, HostAction.DENY, view.lobby[0].participant_id)
            await until(client, sent, lambda view: not view.lobby)
            room = session._room
            while room is not None and (await room.look()).view is not View.OVER:
                await asyncio.sleep(0.05)
            # Longer than whoever looked at the page would need to see it.
            await asyncio.sleep(2 * LOOK_SECONDS)
            await leave()

        monkeypatch.setattr(session._visit, "leave", refused_on_the_way_out)
        command = await sent.channel.issue(Verb.CANCEL)
        with pytest.raises(JobCancelled):
            await joining
        monkeypatch.undo()
    assert sent.channel.settled[command][0] is Outcome.DONE


async def test_another_attempt_starts_afresh_after_the_lobby(
    senders: Senders, client: SandboxClient
) -> None:
    """LC-09: a crashed page is one hard attempt; the next has a new page, or a new browser."""
    sent = await senders.send(LOBBY)
    async with sent.session as session:
        joining = asyncio.create_task(session.join())
        await sent.channel.until(lambda channel: Event.LOBBY_SHOWN in channel.events)
        view = await until(client, sent, lambda view: bool(view.lobby))
        chromium = session._chromium
        assert chromium is not None
        chromium.crashed.set()
        with pytest.raises(BrowserFailed):
            await joining
        first = view.lobby[0].participant_id
        joining = asyncio.create_task(session.join())
        view = await until(
            client, sent, lambda view: any(one.participant_id != first for one in view.lobby)
        )
        await sent.channel.until(lambda channel: channel.events.count(Event.LOBBY_SHOWN) == 2)
        assert sent.room is not None
        for one in view.lobby:
            await client.host(sent.room.room_id, HostAction.ADMIT, one.participant_id)
        await joining
    assert sent.channel.events == [
        Event.BOT_STARTED,
        Event.LOBBY_SHOWN,
        Event.RETRYING,
        Event.LOBBY_SHOWN,
        Event.ADMITTED,
    ]


async def test_an_outdated_attempt_does_not_join(senders: Senders) -> None:
    sent = await senders.send(LOBBY)
    async with sent.session as session:
        sent.channel.outdated = True
        with pytest.raises(StaleAttempt):
            await session.join()


async def test_the_job_store_may_be_away_while_joining(senders: Senders) -> None:
    """D10: events wait and are told in their order."""
    sent = await senders.send()
    async with sent.session as session:
        sent.channel.trouble = Unavailable("The database is away.")
        await session.join()
        assert sent.channel.events == [Event.BOT_STARTED]
        sent.channel.trouble = None
    assert sent.channel.events == [Event.BOT_STARTED, Event.ADMITTED]
