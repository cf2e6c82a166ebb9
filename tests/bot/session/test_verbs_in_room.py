"""Verbs in a real room: what other people there see and hear of them (API-04, API-09…API-14)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import expect

from bot.control import CompetingBotSeen, ConsentAnswered, Outcome, Verb
from bot.recording.finalize import finalize
from bot.session import Ending, MeetingSession
from core.jobs.failures import ExitReason
from core.jobs.spec import AutoLeavePolicy
from core.recordings.recording import MediaFile
from sandbox.client import SandboxClient
from sandbox.schemas import ParticipantView, RoomOptions
from tests.bot.listening import decode, tone_share
from tests.bot.session.conftest import Senders, Sent
from tests.bot.session.showing import (
    colour_of,
    is_near,
    plain_mp4,
    plain_png,
    png_pixels,
    tone_of,
    tone_wav,
    until,
)
from tests.bot.session.test_joining import has_bot
from tests.sandbox.browsers import Browsers, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.media, pytest.mark.timeout(150)]

EMPTY = RoomOptions(script=None)


async def guest(browsers: Browsers, sent: Sent, name: str, *, devices: bool = False) -> Visitor:
    """A person in the bot's room."""
    assert sent.room is not None
    visitor = await browsers.join(sent.room.guest_url, name, devices=devices)
    await visitor.in_room()
    return visitor


async def bot_of(client: SandboxClient, sent: Sent) -> ParticipantView:
    assert sent.room is not None
    view = await client.room(sent.room.room_id)
    return next(one for one in view.participants if one.display_name == "meetbot")


async def leave(sent: Sent, capture: asyncio.Task[Ending]) -> Ending:
    await sent.channel.issue(Verb.LEAVE)
    return await capture


async def _knows(session: MeetingSession, *names: str) -> bool:
    """They are in the room before the bot is, and it hears of them a moment after it came."""
    known = " ".join(one.display_name for one in session._observer.roster.others)
    return all(name in known for name in names)


async def test_chat_pin_and_screenshot(
    senders: Senders, client: SandboxClient, browsers: Browsers
) -> None:
    """API-09, API-12, API-13, PL-16."""
    sent = await senders.send(RoomOptions(video=False))
    async with sent.session as session:
        person = await guest(browsers, sent, "Person")
        await session.join()
        capture = asyncio.create_task(session.capture())
        command = await sent.tell(Verb.CHAT, {"message": "I am taking notes"})
        items = person.page.get_by_test_id("chat").locator("li[data-display-name=meetbot]")
        await expect(items).to_have_text(["I am taking notes"])
        # Given once more, as after a crash: it is answered and not posted again.
        assert not await sent.channel.begin(command)

        await until(lambda: _knows(session, "Ben Ortiz", "Ada Park"))
        await sent.tell(Verb.PIN, {"participantId": None, "displayName": "Ben Ortiz"})
        assert sent.room is not None
        people = (await client.room(sent.room.room_id)).participants
        names = {one.participant_id: one.display_name for one in people}

        async def pins(name: str) -> bool:
            """The room hears of it a moment after the click."""
            return names.get((await bot_of(client, sent)).pinned or "") == name

        await until(lambda: pins("Ben Ortiz"))
        ada = next(one for one in session._observer.roster.others if "Ada" in one.display_name)
        for _ in range(2):
            await sent.tell(Verb.PIN, {"participantId": ada.id, "displayName": None})
            await until(lambda: pins("Ada Park"))
        nobody = await sent.channel.issue(Verb.PIN, {"participantId": "prt_x", "displayName": None})
        await sent.channel.until(lambda channel: nobody in channel.settled)
        assert sent.channel.settled[nobody][0] is Outcome.REFUSED

        command = await sent.tell(Verb.SCREENSHOT)
        result = sent.channel.results[command]
        assert result is not None
        assert result["key"] == f"recordings/{sent.work_dir.name}/screenshots/{command}.png"
        png = sent.storage.get_bytes(result["key"])
        assert (result["width"], result["height"], result["bytes"]) == (1280, 720, len(png))
        assert result["takenAt"].endswith("Z")
        pixels = png_pixels(png)
        assert pixels.shape == (720, 1280, 3)
        # The room and not an empty page: the pinned button, faces, texts.
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200
        assert session._page is not None
        assert session._page.viewport_size == {"width": 320, "height": 180}
        await expect(items).to_have_count(1)
        ending = await leave(sent, capture)
    assert ending.exit_reason is ExitReason.LEAVE_REQUESTED
    assert not session._bridge.refused


async def test_the_room_hears_and_sees_what_a_bot_puts_out(
    senders: Senders, client: SandboxClient, browsers: Browsers, tmp_path: Path
) -> None:
    """API-14, PL-04: everything off before and after; our own output is nobody's recording."""
    sent = await senders.send(EMPTY, video="tab")
    async with sent.session as session:
        person = await guest(browsers, sent, "Person", devices=True)
        await session.join()
        capture = asyncio.create_task(session.capture())
        await sent.channel.until(lambda channel: bool(channel.progress))
        before = await bot_of(client, sent)
        assert (before.microphone, before.camera, before.screen) == (False, False, None)

        async def hears() -> bool:
            frequency, level = await tone_of(person, "meetbot")
            return abs(frequency - 660) < 15 and level > -50

        await sent.put_out("audio", tone_wav(660, 6), "audio/wav")
        await until(hears)
        await until(lambda: _is_off(client, sent))

        async def sees(kind: str, colour: tuple[int, int, int]) -> bool:
            return is_near(await colour_of(person, "meetbot", kind), colour)

        await sent.put_out("image", plain_png((200, 30, 30)), "image/png")
        await until(lambda: sees("camera", (200, 30, 30)))
        # A video that plays once, beside the picture, and what is left when it is over.
        clip = await asyncio.to_thread(plain_mp4, tmp_path, "0x20c020", 880, 5)
        await sent.put_out("video", clip, "video/mp4")
        await until(lambda: sees("screen", (32, 192, 32)))
        await until(lambda: _shares_nothing(client, sent))
        assert (await bot_of(client, sent)).camera
        # The second time the page has had its devices before.
        await sent.put_out("audio", tone_wav(660, 2), "audio/wav", loop=True)
        await until(hears)
        await sent.tell(Verb.STOP_OUTPUT_MEDIA)
        await until(lambda: _is_off(client, sent))
        refused = await sent.channel.issue(
            Verb.OUTPUT_MEDIA,
            {
                "kind": "audio",
                "key": await _store(sent, b"no sound at all"),
                "mimeType": "audio/mpeg",
            },
        )
        await sent.channel.until(lambda channel: refused in channel.settled, 30)
        assert sent.channel.settled[refused][0] is Outcome.REFUSED
        assert "cannot use this audio" in sent.channel.settled[refused][1]
        await leave(sent, capture)
    assert not session._bridge.refused
    recording = finalize(sent.work_dir)
    assert [one.display_name for one in recording.participants] == ["Person"]
    assert {file.kind for file in recording.media} == {"per-speaker", "tab-video"}
    # Other people hear the bot; its tab does not, as nobody hears themselves.
    tab = decode(_file(recording.media, "tab-video").path)
    assert len(tab) > 48_000 * 5
    assert tone_share(tab, 660) == 0


def _file(media: tuple[MediaFile, ...], kind: str) -> MediaFile:
    return next(file for file in media if file.kind == kind)


async def _store(sent: Sent, data: bytes) -> str:
    key = f"recordings/{sent.work_dir.name}/.media/other"
    sent.storage.put_bytes(key, data, "application/octet-stream")
    return key


async def _is_off(client: SandboxClient, sent: Sent) -> bool:
    bot = await bot_of(client, sent)
    return (bot.microphone, bot.camera, bot.screen) == (False, False, None)


async def _shares_nothing(client: SandboxClient, sent: Sent) -> bool:
    return (await bot_of(client, sent)).screen is None


async def test_consent_is_asked_and_a_competing_bot_is_told_once(
    senders: Senders, browsers: Browsers
) -> None:
    """API-04, PL-20, PL-13, LC-30."""
    sent = await senders.send(EMPTY)
    async with sent.session as session:
        person = await guest(browsers, sent, "Person")
        await session.join()
        capture = asyncio.create_task(session.capture())
        await sent.tell(Verb.CONSENT, {"message": "May I record? Please answer yes or no."})
        chat = person.page.get_by_test_id("chat").locator("li")
        await expect(chat).to_have_count(1)
        for text in ("What for?", "Yes, go ahead"):
            await person.page.get_by_test_id("chat-input").fill(text)
            await person.click("chat-send")
        for _ in range(2):
            other = await guest(browsers, sent, "Otter.ai")
            await sent.channel.until(
                lambda channel: any(isinstance(one, CompetingBotSeen) for one in channel.reports)
            )
            await other.click("leave")
            await other.ended("left")
        answers = [one for one in sent.channel.reports if isinstance(one, ConsentAnswered)]
        assert [(one.granted, one.display_name) for one in answers] == [(True, "Person")]
        assert answers[0].participant_id is not None
        await leave(sent, capture)
    # Each visit is another participant of the room, and so another bot.
    seen = [one for one in sent.channel.reports if isinstance(one, CompetingBotSeen)]
    assert {(one.display_name, one.bot_name, one.leaving) for one in seen} == {
        ("Otter.ai", "Otter", False)
    }
    assert len({one.participant_id for one in seen}) == len(seen) <= 2


async def test_a_quiet_room_is_left_though_its_microphones_are_open(
    senders: Senders, client: SandboxClient, browsers: Browsers
) -> None:
    """LC-28: levels decide. Somebody who beeps every second keeps the bot; muted, they do not."""
    sent = await senders.send(EMPTY, auto_leave=AutoLeavePolicy(after_silence_seconds=4))
    async with sent.session as session:
        person = await guest(browsers, sent, "Person", devices=True)
        await session.join()
        capture = asyncio.create_task(session.capture())
        await sent.channel.until(
            lambda channel: channel.progress is not None and channel.progress.recorded_seconds > 9
        )
        assert not capture.done()
        await person.click("mic")
        ending = await asyncio.wait_for(capture, 20)
        await until(lambda: _is_gone(client, sent))
    assert ending == Ending(ExitReason.SILENCE, None, cancelled=False)


async def _is_gone(client: SandboxClient, sent: Sent) -> bool:
    assert sent.room is not None
    return not has_bot(await client.room(sent.room.room_id))
