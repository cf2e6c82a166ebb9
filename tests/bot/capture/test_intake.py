"""What the page sends is a claim: bounded, parsed strictly, and never able to stop the recorder."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from bot.browser.bridge import Bridge, PageError
from bot.capture.attribution import TrackAssignment
from bot.capture.frames import (
    BadFrames,
    CaptureAlarm,
    Frame,
    FrameChunk,
    FrameStream,
    KeyFrameRequests,
    TrackGone,
    TrackSeen,
    pack_record,
)
from bot.capture.intake import MAX_DOCUMENTS, MAX_TRACKS
from bot.capture.recorder import Recorder
from bot.capture.tab import TabChunk
from bot.recording.finalize import finalize
from bot.recording.journal import GrowingFile, RecordingDiskError, disk_error
from core.clock import epoch_ms
from core.jobs.failures import ExitReason
from core.jobs.spec import RecordingOptions
from core.recordings.journal import read_journal
from core.recordings.recording import Caption, ChatMessage, Participant
from tests.bot.capture.conftest import spec
from tests.bot.synthetic import opus, send

pytestmark = pytest.mark.unit

FRAME = Frame(3, "opus", False, False, 7, 960, 5, (1, 2), 1.5e12, 0.25, 0, 0, b"\xf8\xff\xfe")


def chunk(data: bytes, n: int = 0, *, first: bool = True, doc: str = "d") -> FrameChunk:
    return FrameChunk(doc=doc, n=n, first=first, at=0.0, data=base64.b64encode(data).decode())


def test_a_record_survives_the_wire() -> None:
    assert list(FrameStream().feed(chunk(pack_record(FRAME)))) == [FRAME]


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=8), st.integers(1, 300))
def test_records_may_be_cut_anywhere(payloads: list[bytes], size: int) -> None:
    frames = [replace(FRAME, payload=payload) for payload in payloads]
    data = b"".join(map(pack_record, frames))
    stream = FrameStream()
    found: list[Frame] = []
    for n, start in enumerate(range(0, len(data), size)):
        found += stream.feed(chunk(data[start : start + size], n, first=start == 0))
    assert found == frames


def test_after_a_missing_chunk_it_goes_on_with_the_next_record() -> None:
    data = pack_record(replace(FRAME, payload=b"x" * 500))
    stream = FrameStream()
    assert list(stream.feed(chunk(data[:100], 0))) == []
    assert list(stream.feed(chunk(data[200:], 2, first=False))) == []
    assert list(stream.feed(chunk(pack_record(FRAME), 3))) == [FRAME]


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_refused(data: bytes) -> None:
    try:
        found = list(FrameStream().feed(chunk(data)))
    except BadFrames:
        return
    assert sum(len(frame.payload) for frame in found) <= len(data)


def test_what_is_not_base64_is_refused() -> None:
    with pytest.raises(BadFrames, match="base64"):
        list(FrameStream().feed(FrameChunk(doc="d", n=0, first=True, at=0.0, data="%%%")))


@pytest.mark.parametrize(
    "body",
    [
        {"doc": "d", "index": -1, "trackId": "t", "kind": "audio"},
        {"doc": "d", "index": 1, "trackId": "t" * 201, "kind": "audio"},
        {"doc": "d", "index": 1, "trackId": "t", "kind": "smell"},
        {"doc": "d", "index": 1, "trackId": "t", "kind": "audio", "path": "/etc/passwd"},
    ],
)
def test_a_track_that_fits_no_schema_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrackSeen.model_validate(body)


class Page:
    """A bridge whose page is the test."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[Any], None]] = {}
        self.calls: list[str] = []
        self.dead = False

    def on(self, kind: str, _model: type[BaseModel], handler: Callable[[Any], None]) -> None:
        self.handlers[kind] = handler

    async def call(self, command: str, _args: object = None, *, timeout: float = 10) -> object:
        self.calls.append(command)
        if self.dead:
            raise PageError("The page is gone.")
        return {"at": NOW + 100, "audio": True} if command == "tab.start" else None


NOW = epoch_ms(datetime(2026, 5, 9, 14, tzinfo=UTC))


class HandClock:
    """Time that passes when the test says so, whatever waits for it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(NOW / 1000 + self.seconds, UTC)

    def monotonic(self) -> float:
        return 100 + self.seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        until = self.seconds + seconds
        for _ in range(100_000):
            if self.seconds >= until:
                return
            await asyncio.sleep(0)


def make(tmp_path: Path, video: str = "off", fence: int = 1) -> tuple[Recorder, Page, HandClock]:
    page, clock = Page(), HandClock()
    options = RecordingOptions.model_validate({"video": video})
    recorder = Recorder(spec(options, fence), tmp_path / "job", cast(Bridge, page), clock)
    return recorder, page, clock


def assignment(track: str, participant: str) -> TrackAssignment:
    return TrackAssignment(track, participant, "microphone", "track-owner", "track", 1.0)


def see(page: Page, index: int = 0, doc: str = "d", kind: str = "audio") -> None:
    body = {"doc": doc, "index": index, "trackId": f"t{index}", "kind": kind}
    page.handlers["track"](TrackSeen.model_validate(body))


def speak(page: Page, clock: HandClock, start_s: float, seconds: float, index: int = 0) -> None:
    """Frames of a tone whose last one arrives now."""
    frames = list(send(opus(440, seconds), NOW + start_s * 1000, index=index))
    clock.seconds = start_s + seconds
    data = b"".join(map(pack_record, frames))
    page.handlers["frames"](chunk(data, int(start_s * 10)))


async def test_what_is_said_before_the_start_is_journalled_after_it(tmp_path: Path) -> None:
    recorder, page, clock = make(tmp_path)
    recorder.joined(Participant("prt_a", "p1", "Ann", "A"), NOW)
    recorder.assign(assignment("t0", "prt_a"))
    see(page)
    await recorder.start()
    recorder.chat(ChatMessage(clock.now(), "prt_a", "Ann", "Hello"))
    recorder.caption(Caption(0, 900, "prt_a", "Ann", "Good morning"))
    speak(page, clock, 0, 3)
    recorder.left("prt_a", NOW + 3_000)
    await recorder.stop(ExitReason.CALL_ENDED)
    recording = finalize(tmp_path / "job")
    assert [file.participant_id for file in recording.media] == ["prt_a"]
    assert [event.type for event in recording.roster] == ["participant.join", "participant.leave"]
    assert (recording.chat[0].text, recording.captions[0].text) == ("Hello", "Good morning")
    assert recorder.media_captured.is_set()


async def test_progress_counts_seconds_bytes_and_levels(tmp_path: Path) -> None:
    recorder, page, clock = make(tmp_path)
    assert recorder.progress().recorded_seconds == 0
    await recorder.start()
    recorder.joined(Participant("prt_bot", "me", "Notes", "", is_bot=True), NOW)
    recorder.joined(Participant("prt_a", "p1", "Ann", "A"), NOW)
    see(page)
    recorder.assign(assignment("t0", "prt_a"))
    speak(page, clock, 0, 4)
    for _ in range(500):
        await asyncio.sleep(0.002)
        if recorder.media_captured.is_set():
            break
    progress = recorder.progress()
    assert progress.recorded_seconds == pytest.approx(4)
    assert progress.bytes_journalled > 1000
    (ann,) = progress.participants
    assert ann.level is not None
    assert ann.level > 0.5
    # The first second of a stream is held, to find its place.
    assert ann.recorded_seconds == pytest.approx(3, abs=0.1)
    assert recorder.last_voice_at_ms() == pytest.approx(NOW + 3_000, abs=100)
    await recorder.stop(ExitReason.LEAVE_REQUESTED)


async def test_a_full_disk_stops_the_recording_with_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, page, clock = make(tmp_path)
    await recorder.start()
    see(page)
    recorder.assign(assignment("t0", "prt_a"))

    def full(self: GrowingFile, data: bytes) -> None:
        raise disk_error(self.path, OSError(28, "No space left on device"))

    monkeypatch.setattr(GrowingFile, "append", full)
    speak(page, clock, 0, 3)
    recorder.joined(Participant("prt_a", "p1", "Ann", "A"), NOW)
    assert recorder.failed.is_set()
    with pytest.raises(RecordingDiskError, match="disk is full"):
        recorder.progress()
    with pytest.raises(RecordingDiskError, match="disk is full"):
        await recorder.stop(ExitReason.ERROR)


async def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    recorder, _, _ = make(tmp_path)
    (tmp_path / "job").write_text("not a folder")
    with pytest.raises(RecordingDiskError, match="data folder"):
        await recorder.start()


async def test_a_hostile_page_cannot_fill_the_recorder(tmp_path: Path) -> None:
    recorder, page, _ = make(tmp_path)
    await recorder.start()
    for index in range(MAX_TRACKS + 50):
        see(page, index)
    assert len(recorder.intake.tracks) == MAX_TRACKS
    for number in range(MAX_DOCUMENTS + 10):
        page.handlers["frames"](chunk(b"", doc=f"d{number}"))
        page.handlers["key-frame-requests"](KeyFrameRequests(doc=f"d{number}", count=1))
    assert recorder.intake.refused["documents"] == 10
    assert recorder.intake.key_frame_requests <= MAX_DOCUMENTS
    for _ in range(MAX_TRACKS + 50):
        page.handlers["capture-alarm"](CaptureAlarm(doc="d", reason="fallback"))
    assert len(recorder.intake.alarms) == MAX_TRACKS
    await recorder.stop(ExitReason.LEAVE_REQUESTED)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"index": 9}, "unknown-track"),
        ({"arrival_ms": NOW + 3_600_000.0}, "clock"),
        ({"arrival_ms": NOW - 3_600_000.0}, "clock"),
    ],
)
async def test_frames_that_cannot_be_are_refused(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    recorder, page, _ = make(tmp_path)
    await recorder.start()
    see(page, 3)
    frame = replace(FRAME, arrival_ms=float(NOW))
    page.handlers["frames"](chunk(pack_record(replace(frame, **change))))
    assert recorder.intake.refused == {reason: 1}
    await recorder.stop(ExitReason.LEAVE_REQUESTED)


async def test_a_track_that_ends_is_written_at_once(tmp_path: Path) -> None:
    recorder, page, clock = make(tmp_path)
    await recorder.start()
    see(page)
    recorder.assign(assignment("t0", "prt_a"))
    speak(page, clock, 0, 2)
    page.handlers["track-ended"](TrackGone(doc="d", index=0))
    page.handlers["track-ended"](TrackGone(doc="d", index=0))
    await recorder.stop(ExitReason.LEAVE_REQUESTED)
    (stream,) = read_journal(tmp_path / "job" / "1").streams.values()
    assert stream.end_ms == pytest.approx(2_005, abs=5)


async def test_missing_slices_of_the_tab_are_a_gap(tmp_path: Path) -> None:
    recorder, page, clock = make(tmp_path, "tab")
    await recorder.start()
    assert page.calls == ["tab.start"]
    for n in (0, 1, 4):
        clock.seconds = n + 1.0
        data = base64.b64encode(b"webm").decode()
        page.handlers["tab"](TabChunk(n=n, at=NOW + clock.seconds * 1000, data=data))
    page.dead = True
    await recorder.stop(ExitReason.LEAVE_REQUESTED)
    (stream,) = read_journal(tmp_path / "job" / "1").streams.values()
    assert stream.described == 12
    (gap,) = stream.gaps
    assert (gap.start_ms, gap.end_ms) == (2_000, 5_000)
    assert "2 slices" in gap.reason


async def test_a_tab_that_cannot_be_recorded_costs_the_video_only(tmp_path: Path) -> None:
    recorder, page, clock = make(tmp_path, "tab")
    page.dead = True
    await recorder.start()
    see(page)
    recorder.assign(assignment("t0", "prt_a"))
    speak(page, clock, 0, 2)
    await recorder.stop(ExitReason.LEAVE_REQUESTED)
    recording = finalize(tmp_path / "job")
    assert [file.kind for file in recording.media] == ["per-speaker"]
    assert recording.gaps == ()


async def test_a_second_attempt_has_its_own_folder(tmp_path: Path) -> None:
    for fence in (1, 2):
        recorder, _, _ = make(tmp_path, fence=fence)
        await recorder.start()
        await recorder.stop(ExitReason.LEAVE_REQUESTED)
    assert read_journal(tmp_path / "job" / "2").opened.fence == 2
