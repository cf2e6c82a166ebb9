"""A paused page in real Chromium: the picture of a sender moves again right after the pause."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import av
import pytest

from core.jobs.spec import RecordingOptions
from tests.bot.capture.conftest import Calls
from tests.bot.capture.test_pages import TONE, connect, finish, until
from tests.bot.listening import decibels, decode, part, strength

pytestmark = [pytest.mark.browser, pytest.mark.media, pytest.mark.timeout(90)]


async def test_a_screen_moves_again_right_after_a_pause(calls: Calls) -> None:
    """LC-06, D6: a browser sends key frames when asked only, and after a pause it is asked."""
    call = await calls.open(RecordingOptions(video="screenshare"))
    recorder = call.recorder
    await connect(call, video="video/vp8", source="screen")

    def recorded(seconds: float) -> bool:
        return recorder.progress().recorded_seconds >= seconds

    await until(recorder.media_captured.is_set)
    await until(lambda: recorded(4))
    await recorder.pause()
    paused_at = recorder.now_ms()
    await until(lambda: recorder.now_ms() - paused_at > 2500)
    await recorder.resume()
    await until(lambda: recorded(8))
    recording = await finish(call)
    (pause,) = recording.pauses
    (screen,) = [file for file in recording.media if file.kind == "screenshare"]
    with av.open(str(screen.path)) as container:
        frames = await asyncio.to_thread(lambda: list(container.decode(video=0)))
    times = [screen.start_offset_ms + float(frame.time or 0) * 1000 for frame in frames]
    assert not [time for time in times if pause.start_ms < time < pause.end_ms]
    again = min(time for time in times if time >= pause.end_ms)
    assert again - pause.end_ms < 1500
    after = [time for time in times if time >= pause.end_ms]
    assert max(later - earlier for earlier, later in pairwise(after)) < 1000
    (voice,) = [file for file in recording.media if file.kind == "per-speaker"]
    sound = decode(voice.path)
    assert decibels(part(sound, pause.start_ms + 60, pause.end_ms)) < -70
    assert strength(part(sound, pause.end_ms + 200, pause.end_ms + 3000), TONE) > -30
    assert call.errors == []
