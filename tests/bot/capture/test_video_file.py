"""Encoded frames into files: every codec, cut off anywhere, and key frames that begin nothing."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any, Final

import av
import ffmpeg
import pytest

from bot.capture.attribution import Owners, TrackAssignment
from bot.capture.frames import Codec, Frame
from bot.capture.pauses import Pauses
from bot.capture.video import VideoRecorder
from bot.recording.finalize import finalize
from bot.recording.journal import JournalWriter
from core.jobs.failures import ExitReason
from core.media import run_ffmpeg
from core.recordings.journal import Close, Open, ParticipantSeen
from tests.bot.recording.writing import JOB, T0

pytestmark = pytest.mark.media

SIZE: Final = (64, 48)
FRAME_MS: Final = 50
# A new picture size in the middle, as when somebody shares another window.
LARGER: Final = (96, 64)
# By ffmpeg's own process: SVT-AV1, which PyAV has, makes its thread a real-time one where it may.
ENCODERS: Final[dict[Codec, dict[str, Any]]] = {
    "vp8": {"vcodec": "libvpx", "deadline": "realtime", "f": "ivf"},
    "vp9": {"vcodec": "libvpx-vp9", "deadline": "realtime", "lag-in-frames": 0, "f": "ivf"},
    "av1": {"vcodec": "libaom-av1", "usage": "realtime", "cpu-used": 8, "f": "ivf"},
    "h264": {"vcodec": "libx264", "tune": "zerolatency", "f": "h264"},
}
NAMES: Final = {"vp8": "webm", "vp9": "webm", "av1": "webm", "h264": "mkv"}


def encoded(codec: Codec, count: int, size: tuple[int, int] = SIZE) -> list[tuple[bytes, bool]]:
    """Frames as RTP carries them, and whether each is a key frame: the first one is."""
    picture = ffmpeg.input(f"testsrc2=size={size[0]}x{size[1]}:rate=20", f="lavfi")
    output = ffmpeg.output(
        picture, "pipe:", **{"frames:v": count}, pix_fmt="yuv420p", g=1000, **ENCODERS[codec]
    )
    with av.open(io.BytesIO(run_ffmpeg(output, 60)), "r") as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return [(bytes(one).removeprefix(b"\x12\0"), one.is_keyframe) for one in packets]


class Meeting:
    """One person who shares a screen."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.journal = JournalWriter(work_dir, Open(job_id=JOB, fence=1, t0_ms=T0))
        self.journal.write(
            ParticipantSeen(id="prt_a", platform_id="p", display_name="Ann", speaker_label="A")
        )
        owners = Owners()
        owners.assign(TrackAssignment("track", "prt_a", "screen", "track-owner", "track", 1.0), T0)
        self.video = VideoRecorder("screenshare", owners, T0, self.journal, Pauses())
        self._sent = 0

    def send(self, codec: Codec, frames: list[tuple[bytes, bool]]) -> None:
        for payload, key in frames:
            at_ms = self._sent * FRAME_MS
            frame = Frame(
                index=0,
                codec=codec,
                key=key,
                delayed=False,
                ssrc=1,
                rtp=at_ms * 90,
                sequence=self._sent,
                csrcs=(),
                arrival_ms=T0 + 1000 + at_ms,
                level=None,
                width=SIZE[0],
                height=SIZE[1],
                payload=payload,
            )
            self.video.push("doc", "track", frame)
            self._sent += 1
        self.video.write()
        self.video.describe()

    def over(self) -> list[tuple[str, list[tuple[int, int]], float]]:
        """Name, sizes of all pictures and second of the last one, of every file."""
        self.video.close()
        return self.ended()

    def ended(self) -> list[tuple[str, list[tuple[int, int]], float]]:
        self.journal.write(Close(at_ms=T0 + 10_000, exit_reason=ExitReason.CALL_ENDED))
        self.journal.close()
        found = []
        for file in finalize(self.work_dir).media:
            with av.open(str(file.path)) as container:
                frames = list(container.decode(video=0))
            found.append((file.name, [(one.width, one.height) for one in frames],
                          float(frames[-1].time or 0)))  # fmt: skip
        return found


@pytest.fixture
def meeting(tmp_path: Path) -> Meeting:
    return Meeting(tmp_path / "job")


@pytest.mark.parametrize("codec", ENCODERS)
def test_every_frame_is_in_the_file_at_its_time(meeting: Meeting, codec: Codec) -> None:
    """D6: nothing is encoded again."""
    meeting.send(codec, encoded(codec, 60))
    ((name, sizes, last),) = meeting.over()
    assert name == f"screenshare.{NAMES[codec]}"
    assert sizes == [SIZE] * 60
    assert last == pytest.approx(59 * FRAME_MS / 1000, abs=0.02)


@pytest.mark.parametrize("codec", ENCODERS)
def test_a_file_that_was_never_closed_plays_to_its_last_cluster(
    meeting: Meeting, codec: Codec
) -> None:
    """Reliability: a killed bot loses a second of a shared screen at most."""
    meeting.send(codec, encoded(codec, 60))
    ((_, sizes, _),) = meeting.ended()
    assert len(sizes) >= 60 - 1000 // FRAME_MS


@pytest.mark.parametrize("codec", ENCODERS)
def test_a_picture_of_another_size_goes_on_in_the_same_file(meeting: Meeting, codec: Codec) -> None:
    meeting.send(codec, encoded(codec, 30))
    meeting.send(codec, encoded(codec, 30, LARGER))
    ((_, sizes, _),) = meeting.over()
    assert sizes == [SIZE] * 30 + [LARGER] * 30


def test_another_codec_begins_another_file(meeting: Meeting) -> None:
    meeting.send("vp8", encoded("vp8", 30))
    meeting.send("h264", encoded("h264", 30))
    files = meeting.over()
    assert [name for name, _, _ in files] == ["screenshare.webm", "screenshare-2.mkv"]
    assert [len(sizes) for _, sizes, _ in files] == [30, 30]


@pytest.mark.parametrize("codec", ["av1", "h264"])
@pytest.mark.parametrize(
    "damaged",
    [b"", b"\0\0\0\1", b"\xff" * 40, b"\0" * 200],
    ids=["empty", "start code", "ones", "zeros"],
)
def test_a_key_frame_that_begins_nothing_leaves_it_to_the_next_one(
    meeting: Meeting, codec: Codec, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        meeting.send(codec, [(damaged, True), (damaged, False)])
    assert f"A key frame in {codec} begins nothing" in caplog.text
    meeting.send(codec, encoded(codec, 40))
    ((_, sizes, _),) = meeting.over()
    assert len(sizes) == 40


def test_what_cannot_be_kept_is_said_once(
    meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    meeting.send("unknown", [(b"frame", True), (b"frame", False)])
    assert caplog.text.count("Video in unknown is not recorded") == 1
    assert meeting.over() == []
