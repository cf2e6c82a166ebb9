"""Final videos: whole, cut off, or continued by a second attempt."""

from __future__ import annotations

from pathlib import Path

import av
import ffmpeg
import pytest

from bot.recording.finalize import finalize
from bot.recording.journal import JournalWriter
from core.jobs.failures import ExitReason
from core.media import run_ffmpeg
from core.recordings.journal import (
    Close,
    Open,
    ParticipantSeen,
    PauseMarked,
    StreamOpened,
)
from core.recordings.recording import TrackKind
from tests.bot.listening import decode, part, strength
from tests.bot.recording.writing import JOB, T0

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Four seconds as MediaRecorder writes them: VP9 and Opus, live, without duration."""
    path = tmp_path_factory.mktemp("clip") / "clip.webm"
    picture = ffmpeg.input("testsrc2=size=320x180:rate=10:duration=4", f="lavfi")
    sound = ffmpeg.input("sine=frequency=660:sample_rate=48000:duration=4", f="lavfi")
    output = ffmpeg.output(
        picture, sound, str(path), vcodec="libvpx-vp9", acodec="libopus", deadline="realtime",
        **{"cpu-used": 8}, f="webm", live=1, cluster_time_limit=500,
    )  # fmt: skip
    run_ffmpeg(output, 60)
    return path.read_bytes()


@pytest.fixture(scope="module")
def sound_first(clip: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same, from a MediaRecorder to which the sound came first."""
    folder = tmp_path_factory.mktemp("sound-first")
    (folder / "clip.webm").write_bytes(clip)
    whole = ffmpeg.input(str(folder / "clip.webm"))
    path = folder / "sound-first.webm"
    run_ffmpeg(ffmpeg.output(whole["a"], whole["v"], str(path), c="copy", f="webm", live=1), 60)
    return path.read_bytes()


def write(
    work_dir: Path,
    data: bytes,
    *,
    fence: int = 1,
    at_ms: float = 0,
    kind: TrackKind = "tab-video",
    name: str = "tab.webm",
) -> None:
    t0 = T0 + at_ms
    journal = JournalWriter(work_dir, Open(job_id=JOB, fence=fence, t0_ms=t0))
    person = "prt_a" if kind != "tab-video" else None
    if person:
        journal.write(ParticipantSeen(id=person, platform_id="p", display_name="Ann",
                                      speaker_label="A"))  # fmt: skip
    stream = journal.open_stream(
        StreamOpened(stream=name, kind=kind, participant_id=person, start_ms=250)
    )
    for start in range(0, len(data), 9000):
        stream.append(data[start : start + 9000])
        journal.describe(stream, 250 + round(4000 * min(1, (start + 9000) / len(data))))
    journal.write(Close(at_ms=t0 + 4_300, exit_reason=ExitReason.CALL_ENDED))
    journal.close()


def seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        assert container.duration is not None
        return container.duration / 1e6


def pictures(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


def test_a_tab_gets_its_duration_and_keeps_its_place(tmp_path: Path, clip: bytes) -> None:
    """PL-10."""
    write(tmp_path / "job", clip)
    (file,) = finalize(tmp_path / "job").media
    assert (file.name, file.mime_type, file.kind) == ("tab.webm", "video/webm", "tab-video")
    assert (file.start_offset_ms, file.end_offset_ms) == (250, 4250)
    assert seconds(file.path) == pytest.approx(4, abs=0.1)
    assert len(pictures(file.path)) == 40


@pytest.mark.parametrize("share", [0.3, 0.55, 0.9])
def test_a_tab_that_was_cut_off_plays_up_to_there(
    tmp_path: Path, clip: bytes, share: float
) -> None:
    write(tmp_path / "job", clip[: round(len(clip) * share)])
    (file,) = finalize(tmp_path / "job").media
    assert len(pictures(file.path)) >= 40 * share - 10


def test_a_tab_without_a_single_picture_costs_only_itself(tmp_path: Path, clip: bytes) -> None:
    write(tmp_path / "job", clip[:20])
    recording = finalize(tmp_path / "job")
    assert recording.media == ()
    assert recording.exit_reason is ExitReason.CALL_ENDED


def test_two_attempts_make_one_tab_with_a_gap(tmp_path: Path, clip: bytes) -> None:
    write(tmp_path / "job", clip)
    write(tmp_path / "job", clip, fence=2, at_ms=10_000)
    recording = finalize(tmp_path / "job")
    (file,) = recording.media
    assert (file.start_offset_ms, file.end_offset_ms) == (250, 14_250)
    assert [(gap.start_ms, gap.end_ms) for gap in file.gaps] == [(4250, 10_250)]
    times = pictures(file.path)
    assert len(times) == 80
    assert min(time for time in times if time > 5) == pytest.approx(10, abs=0.1)
    assert seconds(file.path) == pytest.approx(14, abs=0.1)
    sound = decode(file.path)
    assert strength(part(sound, 500, 3_500), 660) > -30
    assert strength(part(sound, len(sound) / 48 - 3_500, len(sound) / 48 - 500), 660) > -30


def test_a_paused_tab_is_one_file_on_wall_time(
    tmp_path: Path, clip: bytes, sound_first: bytes
) -> None:
    """LC-06, D7: what follows a pause is at its own time, whichever of its tracks came first."""
    journal = JournalWriter(tmp_path / "job", Open(job_id=JOB, fence=1, t0_ms=T0))
    for name, start_ms, data in (("tab.webm", 250, clip), ("tab-2.webm", 8250, sound_first)):
        stream = journal.open_stream(StreamOpened(stream=name, kind="tab-video", start_ms=start_ms))
        stream.append(data)
        journal.describe(stream, start_ms + 4000)
    journal.write(PauseMarked(start_ms=4250, end_ms=8250))
    journal.write(Close(at_ms=T0 + 12_300, exit_reason=ExitReason.CALL_ENDED))
    journal.close()
    recording = finalize(tmp_path / "job")
    (file,) = recording.media
    assert (file.start_offset_ms, file.end_offset_ms, file.gaps) == (250, 12_250, ())
    times = pictures(file.path)
    assert len(times) == 80
    assert not [time for time in times if 4.05 < time < 7.95]
    assert max(times) == pytest.approx(11.9, abs=0.1)
    sound = decode(file.path)
    assert strength(part(sound, 500, 3_500), 660) > -30
    assert strength(part(sound, len(sound) / 48 - 3_500, len(sound) / 48 - 500), 660) > -30
    assert recording.recorded_seconds == 8


def test_shared_screens_and_cameras_are_numbered(tmp_path: Path, clip: bytes) -> None:
    work_dir = tmp_path / "job"
    write(work_dir, clip, kind="screenshare", name="screenshare.prt_a.1.webm")
    write(work_dir, clip, kind="screenshare", name="screenshare.prt_a.1.webm", fence=2, at_ms=9e3)
    write(work_dir, clip, kind="participant-video", name="v.webm", fence=3, at_ms=18e3)
    names = [(file.name, file.participant_id) for file in finalize(work_dir).media]
    assert names == [
        ("screenshare.webm", "prt_a"),
        ("screenshare-2.webm", "prt_a"),
        ("video.prt_a.webm", "prt_a"),
    ]
