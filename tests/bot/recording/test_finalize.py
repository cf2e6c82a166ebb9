"""finalize: a pure function of what attempts left on disk."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from pathlib import Path

import pytest

from bot.recording.finalize import final_files, finalize
from bot.recording.journal import JournalWriter
from bot.recording.texts import webvtt
from core.jobs.failures import ExitReason
from core.recordings.journal import JOURNAL_NAME, Close, JournalError, Open, read_journal
from core.recordings.recording import Caption
from tests.bot.listening import RATE, decibels, decode, part, strength
from tests.bot.recording.writing import JOB, T0, write_attempt, write_hour

pytestmark = [pytest.mark.media, pytest.mark.timeout(120)]


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in final_files(folder)
    }


def test_every_speaker_has_a_file_of_the_same_length_with_their_own_tone(tmp_path: Path) -> None:
    """MF-12, MF-13."""
    write_attempt(tmp_path / "job")
    recording = finalize(tmp_path / "job")
    assert recording.job_id == JOB
    assert recording.exit_reason is ExitReason.CALL_ENDED
    assert recording.recorded_seconds == 10
    assert [person.speaker_label for person in recording.participants] == ["A", "B"]
    for file, own, other in zip(recording.media, (440, 880), (880, 440), strict=True):
        sound = decode(file.path)
        assert len(sound) == pytest.approx(file.end_offset_ms * RATE / 1000, abs=RATE / 10)
        assert strength(part(sound, 500, 9500), own) > -20
        assert strength(part(sound, 500, 9500), other) < -60
        assert file.bytes == file.path.stat().st_size
        assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()
        assert (file.attribution, file.isolation, file.confidence) == ("track-owner", "track", 1.0)


def test_the_bot_is_not_a_participant_and_people_are(tmp_path: Path) -> None:
    write_attempt(tmp_path / "job")
    recording = finalize(tmp_path / "job")
    assert [person.display_name for person in recording.participants] == ["Person 0", "Person 1"]
    assert [event.participant_id for event in recording.roster] == ["prt_a", "prt_b"]


def test_twice_gives_the_same_files(tmp_path: Path) -> None:
    work_dir = tmp_path / "job"
    write_attempt(work_dir)
    first = finalize(work_dir)
    digests = _digests(work_dir)
    assert finalize(work_dir) == first
    shutil.rmtree(work_dir / "final")
    assert finalize(work_dir) == first
    assert _digests(work_dir) == digests


def test_a_final_file_that_went_missing_is_made_again(tmp_path: Path) -> None:
    work_dir = tmp_path / "job"
    write_attempt(work_dir)
    recording = finalize(work_dir)
    recording.media[0].path.unlink()
    assert finalize(work_dir) == recording
    assert recording.media[0].path.is_file()


def test_a_second_attempt_continues_the_same_files_with_a_gap(tmp_path: Path) -> None:
    """A rejoining bot mints new ids; the same platform ids and names are the same people."""
    work_dir = tmp_path / "job"
    write_attempt(work_dir, closed=False)
    write_attempt(work_dir, fence=2, start_ms=16_000, ids=("prt_c", "prt_d"))
    recording = finalize(work_dir)
    assert [person.id for person in recording.participants] == ["prt_a", "prt_b"]
    assert [file.participant_id for file in recording.media] == ["prt_a", "prt_b"]
    (gap,) = recording.gaps
    assert gap.start_ms == pytest.approx(10_005, abs=15)
    assert gap.end_ms == 16_000
    assert recording.recorded_seconds == 20
    for file, own in zip(recording.media, (440, 880), strict=True):
        sound = decode(file.path)
        assert len(sound) / RATE == pytest.approx(26, abs=0.1)
        assert strength(part(sound, 500, 9_500), own) > -20
        assert decibels(part(sound, 10_200, 15_900)) < -80
        assert strength(part(sound, 16_200, 25_500), own) > -20
        assert len(file.speech) == 2


def test_a_torn_journal_and_a_torn_file_cost_only_their_ends(tmp_path: Path) -> None:
    work_dir = tmp_path / "job"
    write_attempt(work_dir, closed=False)
    journal = work_dir / "1" / JOURNAL_NAME
    journal.write_bytes(journal.read_bytes()[:-20])
    audio = work_dir / "1" / "audio.prt_a.ogg"
    audio.write_bytes(audio.read_bytes()[:-1500])
    recording = finalize(work_dir)
    assert recording.exit_reason is ExitReason.ERROR
    a, b = (decode(file.path) for file in recording.media)
    assert len(a) == len(b)
    assert strength(part(a, 500, 8_500), 440) > -20


def test_a_damaged_stretch_is_a_gap_and_the_rest_stays_in_place(tmp_path: Path) -> None:
    work_dir = tmp_path / "job"
    write_attempt(work_dir)
    audio = work_dir / "1" / "audio.prt_a.ogg"
    data = bytearray(audio.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\0" * 2000
    audio.write_bytes(bytes(data))
    recording = finalize(work_dir)
    file = recording.media[0]
    assert file.gaps
    assert "damaged" in file.gaps[0].reason
    sound = decode(file.path)
    assert len(sound) / RATE == pytest.approx(10, abs=0.1)
    assert strength(part(sound, 500, 3_500), 440) > -20
    assert strength(part(sound, 7_500, 9_500), 440) > -20
    assert decibels(part(sound, file.gaps[0].start_ms + 50, file.gaps[0].end_ms - 50)) < -80


def test_damaged_journal_lines_cost_only_what_they_describe(tmp_path: Path) -> None:
    work_dir = tmp_path / "job"
    write_attempt(work_dir)
    journal = work_dir / "1" / JOURNAL_NAME
    lines = journal.read_bytes().split(b"\n")
    lines[12] = b'{"t":"segment","nonsense'
    journal.write_bytes(b"\n".join(lines))
    assert len(finalize(work_dir).media) == 2


def test_a_journal_without_its_first_line_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "job" / "1"
    folder.mkdir(parents=True)
    (folder / JOURNAL_NAME).write_bytes(b'{"t":"open"')
    with pytest.raises(JournalError, match="open entry"):
        read_journal(folder)
    with pytest.raises(JournalError, match="no journal"):
        finalize(tmp_path / "job")


def test_nothing_recorded_is_a_recording_without_media(tmp_path: Path) -> None:
    """MF-18: left before anything was recorded."""
    journal = JournalWriter(tmp_path / "job", Open(job_id=JOB, fence=1, t0_ms=T0))
    journal.write(Close(at_ms=T0 + 5_000, exit_reason=ExitReason.LEAVE_REQUESTED))
    journal.close()
    recording = finalize(tmp_path / "job")
    assert recording.media == ()
    assert recording.recorded_seconds == 0


def test_chat_has_the_documented_members(tmp_path: Path) -> None:
    """MF-19."""
    write_attempt(tmp_path / "job")
    texts = finalize(tmp_path / "job").texts
    line = json.loads(texts["chat.jsonl"].read_text("utf-8").splitlines()[0])
    assert line == {
        "at": "2023-11-14T22:13:21.000Z",
        "participantId": "prt_a",
        "displayName": "Person 0",
        "text": "Hello",
    }
    assert json.loads(texts["chat.json"].read_text("utf-8")) == [line]


def test_captions_are_valid_webvtt_whatever_people_say(tmp_path: Path) -> None:
    write_attempt(tmp_path / "job")
    text = finalize(tmp_path / "job").texts["captions.vtt"].read_text("utf-8")
    head, cue = text.split("\n\n", 1)
    assert head == "WEBVTT"
    assert cue.splitlines() == [
        "1",
        "00:00:00.500 --> 00:00:01.500",
        "<v Person &lt;0&gt;>Good",
        "morning --&gt; &amp; &lt;all&gt;</v>",
    ]


def test_cues_are_ordered_and_never_empty() -> None:
    text = webvtt(
        [
            Caption(5_000, 5_000, None, "", "later"),
            Caption(3_661_001, 3_661_900, None, "A", " \n "),
            Caption(0, 900, None, "A", "first"),
        ]
    )
    assert re.findall(r"[\d:.]+ --> [\d:.]+", text) == [
        "00:00:00.000 --> 00:00:00.900",
        "00:00:05.000 --> 00:00:05.001",
    ]


def test_an_hour_with_three_speakers_is_final_in_seconds(tmp_path: Path) -> None:
    """Issue target: leave to `job.finalized` in 5 s, of which this is the largest part."""
    work_dir = tmp_path / "job"
    write_hour(work_dir)
    began = time.perf_counter()
    recording = finalize(work_dir)
    seconds = time.perf_counter() - began
    assert recording.recorded_seconds == 3600
    assert {file.end_offset_ms for file in recording.media} == {recording.media[0].end_offset_ms}
    assert seconds < 4
