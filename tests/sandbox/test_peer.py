"""Scripted connections: what aiortc is given, and what it makes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from core.clock import SystemClock
from sandbox.messages import Signal
from sandbox.peer import Link
from sandbox.script import SILENCE, library
from sandbox.tracks import AudioTrack, FrameClock, Sound, VideoTrack
from sandbox.video import FPS, LOOP_SECONDS, Picture, camera
from tests.sandbox.conftest import ManualClock
from tests.support.sandbox import CAMERA_CACHE

pytestmark = pytest.mark.integration

PICTURES = [Picture(bytes([index]), index % 4 == 0) for index in range(8)]


async def test_a_link_connects_to_an_answering_browser_and_announces_levels() -> None:
    """RFC 6464: every packet says how loud it is, so that a recorder need not decode it."""
    audio = AudioTrack(FrameClock(SystemClock()), lambda _: Sound(SILENCE, -33))
    signals: list[Signal] = []
    link = Link("p_ada", audio, None, signals.append)
    await link.offer()
    browser = RTCPeerConnection()
    levels: asyncio.Queue[tuple[bool, int]] = asyncio.Queue()
    try:
        offer = signals[0].description
        assert offer
        await browser.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
        _collect_levels(browser, levels)
        await browser.setLocalDescription(await browser.createAnswer())
        answer = {"type": "answer", "sdp": browser.localDescription.sdp}
        await link.hear(Signal(peer="p_ada", connection=signals[0].connection, description=answer))
        assert await link.wait_connected()
        assert await asyncio.wait_for(levels.get(), 5) == (False, 33)
    finally:
        await browser.close()
        await link.close()


def _collect_levels(browser: RTCPeerConnection, levels: asyncio.Queue[tuple[bool, int]]) -> None:
    receiver = browser.getReceivers()[0]
    handle = receiver._handle_rtp_packet

    async def collect(packet: RtpPacket, arrival_time_ms: int) -> None:
        levels.put_nowait(packet.extensions.audio_level)
        await handle(packet, arrival_time_ms)

    receiver._handle_rtp_packet = collect  # type: ignore[method-assign]


async def test_nonsense_from_a_browser_does_not_break_a_link() -> None:
    signals: list[Signal] = []
    frames = FrameClock(SystemClock())
    link = Link("p_ada", AudioTrack(frames, lambda _: Sound()), None, signals.append)
    await link.offer()
    for nonsense in (
        {"description": {"type": "answer", "sdp": "hello"}},
        {"description": {"type": "answer"}},
        {"description": {"type": "offer", "sdp": ""}},
        {"candidate": {"candidate": "candidate:x"}},
        {"candidate": {"candidate": 7}},
    ):
        sent = {"peer": "p_ada", "connection": signals[0].connection, **nonsense}
        await link.hear(Signal.model_validate(sent))
    assert not link.connected.is_set()
    await link.close()


async def test_audio_keeps_the_rooms_time_and_leaves_out_what_is_late(clock: ManualClock) -> None:
    frames = FrameClock(clock)
    clock.advance(1.0)
    track = AudioTrack(frames, lambda _: Sound())
    stamps = [(await track.recv()).pts for _ in range(3)]
    assert stamps == [51 * 960, 52 * 960, 53 * 960]
    clock.advance(5)
    late = (await track.recv()).pts
    assert late is not None
    assert late >= 53 * 960 + 5 * 48_000 - 960


async def test_discontinuous_audio_jumps_in_time(clock: ManualClock) -> None:
    frames = FrameClock(clock)
    track = AudioTrack(frames, lambda frame: Sound() if frame % 20 == 0 else Sound(None))
    stamps = [(await track.recv()).pts for _ in range(2)]
    assert stamps == [20 * 960, 40 * 960]


async def test_video_repeats_its_loop_in_time(clock: ManualClock) -> None:
    track = VideoTrack(PICTURES, clock)
    packets = [await track.recv() for _ in range(10)]
    assert [bytes(packet)[0] for packet in packets] == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]
    assert [packet.pts for packet in packets[:3]] == [0, 3_750, 7_500]
    assert clock.seconds == pytest.approx(9 / FPS)


async def test_a_request_for_a_key_frame_is_answered_with_the_next_picture(
    clock: ManualClock,
) -> None:
    track = VideoTrack(PICTURES, clock)
    for _ in range(2):
        await track.recv()
    track.key_frame()
    assert bytes(await track.recv()) == b"\x04"
    assert track.key_frame_requests == 1


async def test_unwanted_video_is_not_sent_and_begins_again_with_a_key_frame(
    clock: ManualClock,
) -> None:
    track = VideoTrack(PICTURES, clock)
    await track.recv()
    track.wanted.clear()
    clock.advance(10)
    waiting = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    assert not waiting.done()
    track.wanted.set()
    assert bytes(await waiting) == b"\x04"
    track.wanted.clear()
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_cameras_differ_begin_with_a_key_frame_and_repeat_it(tmp_path: Path) -> None:
    loops = [await camera(who, CAMERA_CACHE) for who in library().speakers.values()]
    for loop in loops:
        assert len(loop) == FPS * LOOP_SECONDS
        assert [i for i, picture in enumerate(loop) if picture.key] == [0, 2 * FPS]
        rate = sum(len(picture.payload) for picture in loop) * 8 / LOOP_SECONDS
        assert 350_000 < rate < 600_000
    assert len({loop[0].payload for loop in loops}) == 3
