"""Paused spans: no media of any kind in them, nothing billed, everything else in its place."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from pydantic import BaseModel

from bot.browser.bridge import Bridge
from bot.capture.attribution import TrackAssignment
from bot.capture.frames import Frame, FrameChunk, TrackSeen, pack_record
from bot.capture.recorder import Recorder
from bot.recording.finalize import finalize
from core.errors import BotFault
from core.jobs.failures import ExitReason
from core.jobs.spec import RecordingOptions
from core.recordings.journal import read_journal
from core.recordings.recording import Caption, ChatMessage, Participant, Recording
from tests.bot.capture.conftest import spec
from tests.bot.listening import RATE, Samples, decibels, decode, part
from tests.bot.synthetic import opus, send
from tests.support.clock import START, ManualClock

pytestmark = [pytest.mark.unit, pytest.mark.media]

T0 = START.timestamp() * 1000
BATCH_S = 0.25
# The sender of a video shows a key frame every five seconds, at 10 fps.
VIDEO_FPS = 10
KEY_EVERY = 50


class Page:
    """A bridge whose page sends what the test has prepared; commands are noted."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[Any], None]] = {}
        self.commands: list[str] = []

    def on(self, kind: str, _model: type[BaseModel], handler: Callable[[Any], None]) -> None:
        self.handlers[kind] = handler

    async def call(self, command: str, _args: object = None, *, timeout: float = 10) -> None:
        self.commands.append(command)


class Meeting:
    """Somebody who beeps every second, recorded in simulated time."""

    def __init__(self, work_dir: Path, *, video: Any = "off") -> None:
        self.clock = ManualClock()
        self.page = Page()
        self.work_dir = work_dir
        options = RecordingOptions(video=video)
        self.recorder = Recorder(spec(options), work_dir, cast(Bridge, self.page), self.clock)
        self._frames: list[Frame] = []
        self._sent = 0

    async def start(self, frames: list[Frame]) -> None:
        await self.recorder.start()
        self._frames = sorted(frames, key=lambda frame: frame.arrival_ms)
        self.recorder.joined(Participant("prt_ann", "p1", "Ann", ""), self.recorder.now_ms())
        for index, kind in enumerate(("audio", "video")):
            self.page.handlers["track"](
                TrackSeen.model_validate(
                    {"doc": "d", "index": index, "trackId": f"t{index}", "kind": kind}
                )
            )
            self.recorder.assign(
                TrackAssignment(
                    f"t{index}", "prt_ann", "microphone" if index == 0 else "screen",
                    "track-owner", "track", 1.0,
                )
            )  # fmt: skip

    async def run(self, seconds: float) -> None:
        """Let time go on, with what arrives in it."""
        for _ in range(round(seconds / BATCH_S)):
            self.clock.advance(BATCH_S)
            now = self.recorder.now_ms()
            batch = [frame for frame in self._frames if frame.arrival_ms <= now]
            self._frames = self._frames[len(batch) :]
            data = base64.b64encode(b"".join(map(pack_record, batch))).decode()
            self.page.handlers["frames"](
                FrameChunk(doc="d", n=self._sent, first=True, at=now, data=data)
            )
            self._sent += 1
            async with asyncio.timeout(10):
                # The recorder's own tick takes what arrived, and syncs the disk in a thread.
                while not self.clock.sleeping:
                    await asyncio.sleep(0.001)

    async def finish(self) -> Recording:
        await self.recorder.stop(ExitReason.LEAVE_REQUESTED)
        return finalize(self.work_dir)


def beeping(seconds: float = 12, level: float | None = None) -> list[Frame]:
    frames = list(send(opus(880, seconds, 200, 800), T0))
    return [replace(frame, level=level) for frame in frames]


def filming(seconds: float = 12) -> list[Frame]:
    """A screen whose pictures are told apart by their bytes."""
    return [
        Frame(
            index=1, codec="vp8", key=number % KEY_EVERY == 0, delayed=False, ssrc=8,
            rtp=number * 90_000 // VIDEO_FPS, sequence=number, csrcs=(),
            arrival_ms=T0 + number * 1000 / VIDEO_FPS + 5, level=None, width=320, height=180,
            payload=_picture(number),
        )
        for number in range(round(seconds * VIDEO_FPS))
    ]  # fmt: skip


def _picture(number: int) -> bytes:
    """The head of a VP8 frame, which WebM passes through, and the number of the frame."""
    key = number % KEY_EVERY == 0
    head = bytes([0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xB4, 0x00])
    return (head if key else b"\x11\x02\x00") + number.to_bytes(2, "big")


def onsets(sound: Samples) -> list[float]:
    """Where beeps start, ms."""
    loud = np.flatnonzero(np.abs(sound) > 0.05) / RATE * 1000
    starts = np.concatenate([[True], np.diff(loud) > 300])
    return [float(one) for one in loud[starts]]


async def test_an_outage_in_a_pause_is_free_once(tmp_path: Path) -> None:
    """LC-06, D15: what people are shown meanwhile is what the bill will say."""
    meeting = Meeting(tmp_path / "job")
    await meeting.start(beeping())
    await meeting.run(4)
    await meeting.recorder.pause()
    await meeting.run(2)
    meeting.recorder.lost("the browser crashed", meeting.clock.monotonic())
    await meeting.run(2)
    await meeting.recorder.back()
    await meeting.recorder.resume()
    await meeting.run(4)
    shown = meeting.recorder.progress().recorded_seconds
    assert shown == pytest.approx(8, abs=0.1)
    assert (await meeting.finish()).recorded_seconds == round(shown)


async def test_a_pause_is_silent_free_and_moves_nothing(tmp_path: Path) -> None:
    """LC-06, D15: 12 s with a 4 s pause bill 8; what follows lies where it was said."""
    meeting = Meeting(tmp_path / "job")
    await meeting.start(beeping())
    await meeting.run(4.5)
    await meeting.recorder.pause()
    assert meeting.recorder.paused
    await meeting.run(4)
    assert meeting.recorder.progress().recorded_seconds == pytest.approx(4.5)
    await meeting.recorder.resume()
    await meeting.run(3.5)
    recording = await meeting.finish()
    assert recording.recorded_seconds == 8
    assert [(span.start_ms, span.end_ms) for span in recording.pauses] == [(4500, 8500)]
    sound = decode(recording.media[0].path)
    assert len(sound) / RATE == pytest.approx(12, abs=0.05)
    # Opus rings on for a few milliseconds after its last packet.
    assert decibels(part(sound, 4530, 8500)) < -70
    found = onsets(sound)
    assert [round(one / 1000) for one in found] == [0, 1, 2, 3, 4, 9, 10, 11]
    assert max(abs(one - round(one / 1000) * 1000) for one in found) <= 40
    assert all(span.end_ms <= 5000 or span.start_ms >= 8500 for span in recording.media[0].speech)


async def test_chat_and_captions_of_a_pause_are_left_out(tmp_path: Path) -> None:
    """LC-06: of any kind."""
    meeting = Meeting(tmp_path / "job")
    await meeting.start(beeping())

    async def say(word: str, seconds: float) -> None:
        await meeting.run(seconds)
        meeting.recorder.chat(ChatMessage(meeting.clock.now(), "prt_ann", "Ann", word))
        end_ms = round(meeting.recorder.now_ms() - T0)
        meeting.recorder.caption(Caption(end_ms - 1000, end_ms, "prt_ann", "Ann", word))

    await say("before", 3)
    await meeting.recorder.pause()
    await say("within", 2)
    await meeting.recorder.resume()
    late = ChatMessage(meeting.clock.now() - timedelta(seconds=0.5), "prt_ann", "Ann", "late")
    meeting.recorder.chat(late)
    await say("across", 0.5)
    await say("after", 2)
    recording = await meeting.finish()
    assert [said.text for said in recording.chat] == ["before", "across", "after"]
    assert [said.text for said in recording.captions] == ["before", "after"]


async def test_a_shared_screen_goes_on_with_the_next_key_frame(tmp_path: Path) -> None:
    """LC-06: one file on wall time; nothing that refers to what was left out is in it."""
    meeting = Meeting(tmp_path / "job", video="screenshare")
    await meeting.start([*beeping(), *filming()])
    await meeting.run(2)
    await meeting.recorder.pause()
    await meeting.run(4)
    await meeting.recorder.resume()
    assert "capture.key-frames" in meeting.page.commands
    await meeting.run(6)
    recording = await meeting.finish()
    (screen,) = [file for file in recording.media if file.kind == "screenshare"]
    data = screen.path.read_bytes()
    there = [number for number in range(120) if _picture(number) in data]
    assert there == [*range(20), *range(100, 120)]
    assert screen.end_offset_ms == pytest.approx(11_900, abs=60)


async def test_a_bot_that_is_killed_while_paused_bills_up_to_the_pause(tmp_path: Path) -> None:
    """LC-06, D10: the pause is in the journal from its beginning."""
    meeting = Meeting(tmp_path / "job")
    await meeting.start(beeping())
    await meeting.run(5)
    await meeting.recorder.pause()
    await meeting.run(4)
    # Killed: no close, and what the journal says is all that there is.
    (pause,) = read_journal(tmp_path / "job" / "1").pauses
    assert (pause.start_ms, pause.end_ms) == (5000, None)
    recording = finalize(tmp_path / "job")
    assert recording.recorded_seconds == 5
    await meeting.recorder.stop(ExitReason.ERROR)


async def test_a_recording_that_ends_while_paused_ends_its_pause(tmp_path: Path) -> None:
    meeting = Meeting(tmp_path / "job")
    await meeting.start(beeping())
    await meeting.run(5)
    await meeting.recorder.pause()
    await meeting.run(5)
    recording = await meeting.finish()
    assert [(span.start_ms, span.end_ms) for span in recording.pauses] == [(5000, 10_000)]
    assert recording.recorded_seconds == 5
    assert (recording.ended_at - recording.started_at).total_seconds() == pytest.approx(10)


async def test_pausing_and_resuming_are_idempotent(tmp_path: Path) -> None:
    """D3: state verbs may be applied again."""
    meeting = Meeting(tmp_path / "job")
    await meeting.start(beeping())
    await meeting.recorder.resume()
    await meeting.run(2)
    for _ in range(2):
        await meeting.recorder.pause()
        await meeting.run(1)
    for _ in range(2):
        await meeting.recorder.resume()
        await meeting.run(1)
    recording = await meeting.finish()
    assert [(span.start_ms, span.end_ms) for span in recording.pauses] == [(2000, 4000)]


async def test_speech_in_a_pause_keeps_the_silence_clock_away(tmp_path: Path) -> None:
    """LC-28: the clocks go on while nothing is recorded."""
    meeting = Meeting(tmp_path / "job")
    await meeting.start(beeping(level=0.3))
    await meeting.run(3)
    await meeting.recorder.pause()
    await meeting.run(5)
    voice = meeting.recorder.last_voice_at_ms()
    assert voice is not None
    assert meeting.recorder.now_ms() - voice < 1500
    await meeting.finish()


async def test_silence_that_is_sent_is_no_voice(tmp_path: Path) -> None:
    """LC-28: an open microphone in a quiet room says nothing."""
    meeting = Meeting(tmp_path / "job")
    await meeting.start(beeping(level=0.0005))
    await meeting.run(5)
    assert meeting.recorder.last_voice_at_ms() is None
    await meeting.finish()


async def test_a_recording_may_begin_with_a_pause(tmp_path: Path) -> None:
    """D3: the attempt that takes over finds it paused."""
    meeting = Meeting(tmp_path / "job")
    await meeting.recorder.pause()
    await meeting.start(beeping())
    assert meeting.recorder.paused
    await meeting.run(4)
    assert not meeting.recorder.media_captured.is_set()
    await meeting.recorder.resume()
    await meeting.run(4)
    recording = await meeting.finish()
    assert [(span.start_ms, span.end_ms) for span in recording.pauses] == [(0, 4000)]
    assert recording.recorded_seconds == 4


async def test_what_is_over_cannot_be_paused(tmp_path: Path) -> None:
    meeting = Meeting(tmp_path / "job")
    await meeting.start(beeping())
    await meeting.recorder.stop(ExitReason.LEAVE_REQUESTED)
    with pytest.raises(BotFault, match="over"):
        await meeting.recorder.pause()
