"""A whole bot by Zoom's SDK, on a stub with the package's callbacks (PL-25, RM-10)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from numpy.typing import NDArray

from bot.control import Verb
from bot.endings import Ending
from bot.recording.finalize import finalize
from bot.session import MeetingSession
from core.clock import SystemClock
from core.errors import AuthFailure, HostDenied, MeetingError, MeetingNotFound, RoomUnreachable
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Event
from core.jobs.spec import JobSpec
from core.settings import Settings
from tests.bot.listening import decode, strength
from tests.bot.zoom_sdk.conftest import ZOOM
from tests.bot.zoom_sdk.stub import ENUMS, Status, StubSdk
from tests.support.channel import MemoryChannel

pytestmark = [pytest.mark.unit, pytest.mark.timeout(60)]

ADA, BEN = 16_779_264, 16_780_288
RATE = 32_000
Pcm = NDArray[np.int16]
TONES = {ADA: 440.0, BEN: 1000.0}


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)


def tone(person: int, begin: float, end: float) -> Pcm:
    """Three seconds with a person's tone in a part of them."""
    time = np.arange(3 * RATE) / RATE
    heard = (time >= begin) & (time < end)
    return (heard * 8000 * np.sin(2 * np.pi * TONES[person] * time)).astype(np.int16)


async def meet(sdk: StubSdk, session: MeetingSession, channel: MemoryChannel) -> Ending:
    """From the lobby to the end: Ada speaks, then both, then Ben; both in chat; Ben goes."""
    sdk.door = lambda: sdk.stands(Status.MEETING_STATUS_IN_WAITING_ROOM)
    sdk.comes(ADA, "Ada Park", host=True)
    async with session:
        joining = asyncio.create_task(session.join())
        await channel.until(lambda told: Event.LOBBY_SHOWN in told.events)
        sdk.admit()
        await joining
        capturing = asyncio.create_task(session.capture())
        await until(lambda: sdk.ear is not None)
        sdk.comes(BEN, "Ben Ortiz")
        sounds = {ADA: tone(ADA, 0, 2), BEN: tone(BEN, 1, 3)}
        await asyncio.to_thread(sdk.speak, sounds)
        await channel.until(lambda told: Event.MEDIA_CAPTURED in told.events)
        sdk.writes(ADA, "Welcome")
        sdk.writes(ADA, "Only for you", to_all=False)
        await channel.issue(Verb.CHAT, {"message": "Thank you"})
        await until(lambda: sdk.said)
        noted, refused = sdk.reminds(), sdk.reminds(ai=True)
        sdk.goes(BEN)
        await until(lambda: refused.answer)
        assert (noted.answer, refused.answer) == ("accepted", "ignored")
        sdk.stands(Status.MEETING_STATUS_ENDED, 2)
        return await capturing


async def test_a_meeting_is_recorded_with_a_file_for_everybody(
    sdk: StubSdk, session: MeetingSession, channel: MemoryChannel, settings: Settings, spec: JobSpec
) -> None:
    """The lobby before it, people and chat beside it, and the host's end after it."""
    ending = await meet(sdk, session, channel)
    assert (ending.exit_reason, ending.failure) == (ExitReason.CALL_ENDED, None)
    assert sdk.said == ["Thank you"]
    guest = sdk.asked.param
    assert (guest.meetingNumber, guest.userName, guest.psw) == (9123456789, "meetbot", "hashed.1")
    assert guest.isVideoOff
    recording = finalize(settings.work_dir / spec.job_id)
    names = {one.id: one.display_name for one in recording.participants}
    files = {names[one.participant_id or ""]: one for one in recording.media}
    assert files.keys() == {"Ada Park", "Ben Ortiz"}
    assert {(one.attribution, one.isolation) for one in files.values()} == {
        ("track-owner", "track")
    }
    sounds = {name: decode(one.path, RATE) for name, one in files.items()}
    for name, own, other in (("Ada Park", ADA, BEN), ("Ben Ortiz", BEN, ADA)):
        loud = strength(sounds[name], TONES[own], RATE)
        assert loud > -25
        assert strength(sounds[name], TONES[other], RATE) < loud - 40
    began = {name: np.argmax(np.abs(sound) > 0.05) / RATE for name, sound in sounds.items()}
    assert abs(began["Ben Ortiz"] - began["Ada Park"] - 1) < 0.15
    assert [one.text for one in recording.chat] == ["Welcome"]
    left = [one.participant_id for one in recording.roster if one.type == "participant.leave"]
    assert "Ben Ortiz" in {names[one] for one in left}


@pytest.mark.parametrize(
    ("status", "code", "error", "adapter_error"),
    [
        ("FAILED", 4, AuthFailure, "room_inaccessible"),
        ("FAILED", 8, MeetingNotFound, None),
        ("FAILED", 9, HostDenied, None),
        ("FAILED", 61, HostDenied, None),
        ("FAILED", 63, AuthFailure, "zoom_requires_rtms"),
        ("FAILED", 1, RoomUnreachable, None),
        ("ENDED", 1, HostDenied, None),
    ],
)
async def test_what_keeps_a_bot_out_has_its_code(
    sdk: StubSdk,
    session: MeetingSession,
    status: str,
    code: int,
    error: type[MeetingError],
    adapter_error: str | None,
) -> None:
    """FC-01: by Zoom's numbers."""
    sdk.door = lambda: sdk.stands(Status[f"MEETING_STATUS_{status}"], code)
    async with session:
        with pytest.raises(error, match="Zoom's SDK says") as raised:
            await session.join()
    assert raised.value.adapter_error == adapter_error


async def test_an_app_that_zoom_does_not_know_is_said_so(
    sdk: StubSdk, session: MeetingSession
) -> None:
    sdk.auth = ENUMS["AuthResult"].AUTHRET_KEYORSECRETWRONG
    async with session:
        with pytest.raises(AuthFailure, match="MEETBOT_ZOOM__CLIENT_SECRET"):
            await session.join()
    secret = ZOOM.client_secret
    assert secret is not None
    claims = jwt.decode(sdk.tokens[0], OctKey.import_key(secret.get_secret_value())).claims
    assert claims["appKey"] == "an app"
    assert claims["exp"] == claims["tokenExp"] > SystemClock().now().timestamp() + 3600


@pytest.mark.parametrize("answer", [None, "RequestLocalRecording_Denied"])
async def test_a_host_who_does_not_let_the_bot_record_ends_it(
    sdk: StubSdk, session: MeetingSession, channel: MemoryChannel, answer: str | None
) -> None:
    """FC: `recording_disabled`, whether they say no or nothing."""
    sdk.may_record = False
    async with session:
        await session.join()
        capturing = asyncio.create_task(session.capture())
        if answer is not None:
            await until(lambda: sdk.recording.events is not None)
            sdk.refuses(ENUMS["RequestLocalRecordingStatus"][answer])
        ending = await capturing
    assert ending.failure is not None
    assert ending.failure.failure is FailureCode.RECORDING_DISABLED


async def test_the_host_lets_the_bot_record_after_a_while(
    sdk: StubSdk, session: MeetingSession, channel: MemoryChannel
) -> None:
    sdk.may_record = False
    sdk.comes(ADA, "Ada Park")
    async with session:
        await session.join()
        capturing = asyncio.create_task(session.capture())
        await until(lambda: sdk.recording.events is not None)
        sdk.permits()
        await until(lambda: sdk.ear is not None)
        await asyncio.to_thread(sdk.speak, {ADA: tone(ADA, 0, 1)})
        await channel.until(lambda told: Event.MEDIA_CAPTURED in told.events)
        sdk.stands(Status.MEETING_STATUS_ENDED, 1)
        ending = await capturing
    assert ending.exit_reason is ExitReason.KICKED
