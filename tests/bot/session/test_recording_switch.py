"""Recording on and off in a real room, proven by decoding what is left (API-05…API-07, API-11)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import av
import psutil
import pytest

from bot.control import Moved, Outcome, Verb
from bot.recording.finalize import finalize
from bot.returning import Past
from core.jobs.lifecycle import Event, RecordingState, Status
from core.recordings.recording import Recording, Span
from sandbox.schemas import RoomOptions
from tests.bot.listening import decibels, decode, part
from tests.bot.session.conftest import Senders, Sent
from tests.sandbox.browsers import Browsers

pytestmark = [pytest.mark.browser, pytest.mark.media, pytest.mark.timeout(150)]

# What was decided when a frame was taken and when it is shown may differ by a few of them.
NEAR_MS = 150


async def seconds_go_by(sent: Sent, seconds: float) -> None:
    """By the bot's own clock, as it tells it."""
    progress = sent.channel.progress
    assert progress is not None
    since = progress.at
    await sent.channel.until(
        lambda channel: (
            channel.progress is not None
            and (channel.progress.at - since).total_seconds() >= seconds
        ),
        60,
    )


def status_of(sent: Sent) -> Status:
    return sent.channel.status


async def refused(sent: Sent, verb: Verb) -> str:
    command = await sent.channel.issue(verb)
    await sent.channel.until(lambda channel: command in channel.settled, 20)
    outcome, detail = sent.channel.settled[command]
    assert outcome is Outcome.REFUSED
    return detail


async def test_a_recording_is_paused_resumed_stopped_and_started(
    senders: Senders, browsers: Browsers
) -> None:
    """LC-05, LC-06, D15: the job's life, the bill, and no media of any kind in between."""
    sent = await senders.send(RoomOptions(script=None), video="tab")
    assert sent.room is not None
    person = await browsers.join(sent.room.guest_url, "Person", devices=True)
    await person.in_room()
    async with sent.session as session:
        await session.join()
        capture = asyncio.create_task(session.capture())
        await sent.channel.until(lambda channel: channel.status is Status.RECORDING, 40)
        await sent.channel.until(lambda channel: channel.progress is not None)
        await seconds_go_by(sent, 4)
        for _ in range(2):
            await sent.tell(Verb.PAUSE)
        assert status_of(sent) is Status.RECORDING
        recorded = session._recorder.progress().recorded_seconds
        await person.page.get_by_test_id("chat-input").fill("Off the record")
        await person.click("chat-send")
        await seconds_go_by(sent, 4)
        assert session._recorder.progress().recorded_seconds == recorded
        assert "resume-recording" in await refused(sent, Verb.START)
        await sent.tell(Verb.RESUME)
        await seconds_go_by(sent, 4)
        await sent.tell(Verb.STOP)
        assert status_of(sent) is Status.IN_MEETING
        assert "start-recording" in await refused(sent, Verb.RESUME)
        await seconds_go_by(sent, 3)
        await sent.tell(Verb.START)
        assert status_of(sent) is Status.RECORDING
        await seconds_go_by(sent, 4)
        await sent.channel.issue(Verb.LEAVE)
        await capture
    moves = [report for report in sent.channel.reports if isinstance(report, Moved)]
    assert [(move.event, move.recording_state) for move in moves][2:] == [
        (Event.MEDIA_CAPTURED, RecordingState.RECORDING),
        (Event.RECORDING_PAUSED, RecordingState.PAUSED),
        (Event.RECORDING_RESUMED, RecordingState.RECORDING),
        (Event.RECORDING_STOPPED, RecordingState.STOPPED),
        (Event.MEDIA_CAPTURED, RecordingState.RECORDING),
    ]
    check(finalize(sent.work_dir))


def check(recording: Recording) -> None:
    length_ms = (recording.ended_at - recording.started_at).total_seconds() * 1000
    first, second = recording.pauses
    assert first.end_ms - first.start_ms > 3500
    assert second.end_ms - second.start_ms > 2500
    paused = sum(span.end_ms - span.start_ms for span in recording.pauses)
    assert recording.recorded_seconds == int(length_ms - paused) // 1000
    assert recording.chat == ()
    between = [
        (0, first.start_ms),
        (first.end_ms, second.start_ms),
        (second.end_ms, round(length_ms)),
    ]
    (voice,) = [file for file in recording.media if file.kind == "per-speaker"]
    sound = decode(voice.path)
    assert len(sound) / 48 == pytest.approx(length_ms, abs=60)
    for pause in recording.pauses:
        assert decibels(part(sound, pause.start_ms + 60, pause.end_ms)) < -70
    for start, end in between:
        # A beep every second.
        assert decibels(part(sound, max(start, end - 2000), end)) > -60
    (tab,) = [file for file in recording.media if file.kind == "tab-video"]
    assert tab.gaps == ()
    pictures = [tab.start_offset_ms + moment for moment in picture_times(tab.path)]
    assert pictures == sorted(pictures)
    assert not [moment for moment in pictures if within(moment, recording.pauses)]
    for start, end in between:
        shown = [moment for moment in pictures if start - NEAR_MS <= moment <= end + NEAR_MS]
        assert len(shown) >= 10
    # Where it is not paused the picture moves on all the time.
    for before, after in pairwise(pictures):
        assert after - before < 2000 or any(
            before - 1000 <= pause.start_ms and pause.end_ms <= after + 1000
            for pause in recording.pauses
        )


def picture_times(path: Path) -> list[float]:
    """When each picture of a video is shown, ms; every one of them is decoded."""
    with av.open(str(path)) as container:
        return [float(frame.time or 0) * 1000 for frame in container.decode(video=0)]


def within(moment: float, pauses: tuple[Span, ...]) -> bool:
    return any(pause.start_ms + NEAR_MS < moment < pause.end_ms - NEAR_MS for pause in pauses)


async def test_a_paused_recording_stays_paused_in_the_next_process_and_after_its_browser_died(
    senders: Senders,
) -> None:
    """LC-05, LC-06, D10: who comes back goes on as the bot was told before."""
    past = Past(status=Status.RECORDING, recording_state=RecordingState.PAUSED)
    sent = await senders.send(RoomOptions(video=False), past=past, fence=2)
    async with sent.session as session:
        await session.join()
        capture = asyncio.create_task(session.capture())
        await sent.channel.until(lambda channel: channel.progress is not None, 40)
        await seconds_go_by(sent, 3)
        first = session._chromium
        assert first is not None
        assert first.pid is not None
        psutil.Process(first.pid).kill()
        await sent.channel.until(lambda _: session._chromium not in (None, first), 60)
        await seconds_go_by(sent, 3)
        assert session._recorder.paused
        assert not session._recorder.media_captured.is_set()
        await sent.tell(Verb.RESUME)
        await asyncio.wait_for(session._recorder.media_captured.wait(), 30)
        await seconds_go_by(sent, 4)
        await sent.channel.issue(Verb.LEAVE)
        await capture
    moved = [report.event for report in sent.channel.reports if isinstance(report, Moved)]
    assert moved == [Event.RECORDING_RESUMED]
    recording = finalize(sent.work_dir)
    assert 2 <= recording.recorded_seconds <= 8
    assert recording.pauses[0].start_ms == 0
    assert recording.media
    for file in recording.media:
        assert decibels(part(decode(file.path), 0, recording.pauses[-1].end_ms - 300)) < -70
