"""The sandbox driver: what happens in a room is seen through its page (PL-07, PL-11, PL-12)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.control import Verb
from bot.recording.finalize import finalize
from core.jobs.lifecycle import Event
from core.recordings.recording import Recording
from sandbox.client import SandboxClient
from sandbox.schemas import HostAction, RoomOptions
from tests.bot.session.conftest import Senders, Sent
from tests.support.sandbox import SandboxServer, running_sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

PATH_LIKE = "../../etc/<b>passwd</b>"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
async def client(sandbox: SandboxServer) -> AsyncIterator[SandboxClient]:
    async with sandbox.client() as client:
        yield client


@pytest.fixture
def senders(sandbox: SandboxServer, client: SandboxClient, tmp_path: Path) -> Senders:
    return Senders(sandbox, client, tmp_path)


async def test_what_a_guest_does_is_recorded_by_the_other(senders: Senders) -> None:
    first = await senders.send(RoomOptions(video=False), video="tab")
    assert first.room is not None
    second = await senders.send(room_url=first.room.guest_url, display_name=PATH_LIKE)
    async with first.session as witness:
        await witness.join()
        capture = asyncio.create_task(witness.capture())
        await first.channel.until(lambda channel: Event.MEDIA_CAPTURED in channel.events)
        async with second.session as guest:
            await guest.join()
            room = guest._room
            assert room is not None
            await room.settle_in()
            await room.send_chat("Hello <i>everybody</i>")
            await until_known(first, PATH_LIKE)
            async with asyncio.timeout(10):
                while not witness._observer._chat_ids:
                    await asyncio.sleep(0.05)
        await until_gone(first, PATH_LIKE)
        await first.channel.issue(Verb.LEAVE)
        await capture
    check(finalize(first.work_dir), first.work_dir)


async def until_known(sent: Sent, name: str) -> None:
    await sent.channel.until(
        lambda channel: (
            channel.progress is not None
            and name in [one.display_name for one in channel.progress.participants]
        )
    )


async def until_gone(sent: Sent, name: str) -> None:
    await sent.channel.until(
        lambda channel: (
            channel.progress is not None
            and name not in [one.display_name for one in channel.progress.participants]
        )
    )


def check(recording: Recording, work_dir: Path) -> None:
    (guest,) = [one for one in recording.participants if one.display_name == PATH_LIKE]
    moves = [event.type for event in recording.roster if event.participant_id == guest.id]
    assert moves == ["participant.join", "participant.leave"]
    said = [message for message in recording.chat if message.participant_id == guest.id]
    assert [(one.display_name, one.text) for one in said] == [(PATH_LIKE, "Hello <i>everybody</i>")]
    # The name went into no path.
    for file in recording.media:
        assert file.path.resolve().is_relative_to(work_dir.resolve())
        assert "etc" not in file.name
    assert "meetbot" not in [one.display_name for one in recording.participants]


async def test_captions_are_recorded_with_their_speakers(
    senders: Senders, client: SandboxClient
) -> None:
    """PL-07, PL-08: a sentence as it stands at its end, under the name of who said it."""
    sent = await senders.send(RoomOptions(video=False))
    async with sent.session as session:
        await session.join()
        capture = asyncio.create_task(session.capture())
        assert sent.room is not None
        async with asyncio.timeout(30):
            while True:
                view = await client.room(sent.room.room_id)
                done = [one for one in view.timeline if one.ended_at_ms is not None]
                if len(done) >= 3:
                    break
                await asyncio.sleep(0.2)
        await client.host(sent.room.room_id, HostAction.END)
        await capture
    recording = finalize(sent.work_dir)
    names = {one.id: one.display_name for one in recording.participants}
    spoken = {(one.display_name, one.text) for one in view.timeline}
    whole = [one for one in recording.captions if (one.display_name, one.text) in spoken]
    assert len(whole) >= 2
    assert all(names[one.participant_id or ""] == one.display_name for one in whole)
    assert all(0 <= one.start_ms < one.end_ms for one in whole)


async def test_a_room_without_captions_or_video_toggle_is_recorded_all_the_same(
    senders: Senders,
) -> None:
    """PL-07: what a room does not offer is skipped."""
    sent = await senders.send(RoomOptions(video=False, captions=False, incoming_video_toggle=False))
    async with sent.session as session:
        await session.join()
        capture = asyncio.create_task(session.capture())
        await sent.channel.until(lambda channel: Event.MEDIA_CAPTURED in channel.events)
        await sent.channel.issue(Verb.LEAVE)
        await capture
    assert len(finalize(sent.work_dir).media) == 3
