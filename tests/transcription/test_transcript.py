"""One transcript from speakers' tracks (AR-10): right words, right speaker, right time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelMissing, TranscriptionError
from core.recordings.recording import Span
from core.settings import TranscriptionSettings
from sandbox.script import library
from tests.support.speech import Said, decode, tiny_model, word_error_rate, write_track
from transcription.engine import SAMPLE_RATE, Engine, Heard, Samples, Word
from transcription.engines.whisper import WhisperEngine
from transcription.speech import JOINT_MS, PADDING_MS, Packed, Piece, pack, widen
from transcription.transcript import SpeakerTrack, grouped, transcribe

pytestmark = pytest.mark.media

# Where Whisper puts a word against where it is: its own timing is no better.
WORD_TIMING_SECONDS = 0.6


class CountingEngine(Engine):
    """Hears one word per second of samples and remembers how many seconds it was given."""

    provider = "counting"
    model = "one"

    def __init__(self) -> None:
        self.seconds = 0.0

    def _words(self, samples: Samples, language: str | None) -> Heard:
        self.seconds += len(samples) / SAMPLE_RATE
        count = int(len(samples) / SAMPLE_RATE)
        return Heard("en", tuple(Word(float(n), n + 0.5, f" w{n}") for n in range(count)))


class FailingEngine(Engine):
    provider = "failing"
    model = "none"

    def _words(self, samples: Samples, language: str | None) -> Heard:
        raise RuntimeError("out of memory")


def track(path: Path, speech: list[Span], seconds: float, label: str = "A") -> SpeakerTrack:
    return SpeakerTrack(
        path, f"prt_{label}", label, f"Speaker {label}", int(seconds * 1000), speech
    )


def test_only_talk_time_is_decoded(tmp_path: Path) -> None:
    speech = write_track(tmp_path / "a.ogg", [Said("ada-risk", 100)], seconds=300)
    engine = CountingEngine()

    transcribe("job_x", [track(tmp_path / "a.ogg", speech, 300)], engine)

    talk = (speech[0].end_ms - speech[0].start_ms + 2 * PADDING_MS + JOINT_MS) / 1000
    assert engine.seconds == pytest.approx(talk, abs=0.01)


def test_packed_speech_is_the_speech_of_the_file(tmp_path: Path) -> None:
    said = [Said("ben-help", 2.0), Said("ben-report", 20.0)]
    speech = write_track(tmp_path / "b.ogg", said, seconds=40)

    packed = pack(tmp_path / "b.ogg", speech, 40_000)

    whole = decode(tmp_path / "b.ogg")
    for piece in packed.pieces:
        length = int(piece.seconds * SAMPLE_RATE)
        start, there = int(piece.packed_start * SAMPLE_RATE), int(piece.meeting_start * SAMPLE_RATE)
        ours, theirs = packed.samples[start : start + length], whole[there : there + length]
        assert float(np.corrcoef(ours, theirs)[0, 1]) > 0.99


def test_times_in_packed_speech_lead_back_to_the_meeting() -> None:
    packed = Packed(np.zeros(1, np.float32), (Piece(0.0, 10.0, 2.0), Piece(2.8, 60.0, 3.0)))

    assert packed.meeting_time(1.5) == 11.5
    assert packed.meeting_time(3.8) == 61.0
    assert packed.meeting_time(2.5) == 12.0, "a joint belongs to the utterance before it"


def test_spans_are_padded_merged_and_kept_inside_the_file() -> None:
    spans = [Span(100, 500, ""), Span(900, 1000, ""), Span(9_000, 9_900, "")]

    assert widen(spans, limit_ms=10_000) == [(0, 1300), (8_700, 10_000)]


def test_an_utterance_long_after_another_is_a_segment_of_its_own() -> None:
    packed = Packed(np.zeros(1, np.float32), (Piece(0.0, 0.0, 2.0), Piece(2.8, 60.0, 3.0)))
    words = [Word(0.5, 1.0, " one"), Word(1.1, 1.5, " two"), Word(3.0, 3.5, " three")]

    assert [[w.text for w in group] for group in grouped(packed, words)] == [
        [" one", " two"],
        [" three"],
    ]


def test_a_silent_track_costs_nothing_and_says_nothing(tmp_path: Path) -> None:
    write_track(tmp_path / "c.ogg", [], seconds=5)
    engine = CountingEngine()

    transcript = transcribe("job_x", [track(tmp_path / "c.ogg", [], 5)], engine)

    assert engine.seconds == 0
    assert transcript.segments == ()


def test_a_failing_engine_says_which_and_why(tmp_path: Path) -> None:
    speech = write_track(tmp_path / "a.ogg", [Said("ada-risk", 0)], seconds=5)

    with pytest.raises(TranscriptionError, match=r"failing none failed: out of memory"):
        transcribe("job_x", [track(tmp_path / "a.ogg", speech, 5)], FailingEngine())


def test_an_unreadable_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "bad.ogg").write_bytes(b"not ogg at all")

    with pytest.raises(TranscriptionError, match=r"bad\.ogg cannot be decoded"):
        pack(tmp_path / "bad.ogg", [Span(0, 1000, "")], 1000)


def test_a_missing_model_names_the_setting() -> None:
    engine = WhisperEngine(TranscriptionSettings(model="/nowhere/model"))

    with pytest.raises(ModelMissing, match="MEETBOT_TRANSCRIPTION__MODEL"):
        engine.words(np.zeros(SAMPLE_RATE, np.float32), None)


def test_real_speech_is_understood_under_the_right_speaker_at_the_right_time(
    tmp_path: Path,
) -> None:
    said = {
        "A": [Said("ada-welcome", 1.0), Said("ada-close", 40.0)],
        "B": [Said("ben-design", 8.0), Said("ben-report", 30.0)],
    }
    tracks = []
    for label, lines in said.items():
        path = tmp_path / f"{label}.ogg"
        tracks.append(track(path, write_track(path, lines, 50), 50, label))

    transcript = transcribe(
        "job_x", tracks, WhisperEngine(TranscriptionSettings(model=tiny_model())), "en"
    )

    texts = library().sentences
    order = [("A", "ada-welcome"), ("B", "ben-design"), ("B", "ben-report"), ("A", "ada-close")]
    assert [s.speaker_label for s in transcript.segments] == [label for label, _ in order]
    reference = " ".join(texts[name].text for _, name in order)
    assert word_error_rate(reference, " ".join(s.text for s in transcript.segments)) <= 0.1
    begun = [1.0, 8.0, 30.0, 40.0]
    for segment, at in zip(transcript.segments, begun, strict=True):
        assert segment.start == pytest.approx(at, abs=WORD_TIMING_SECONDS)
