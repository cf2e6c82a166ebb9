from __future__ import annotations

import itertools

import pytest

from core.errors import BadInput
from sandbox.script import FRAMES_PER_SECOND, SPEECH, library, load_script

pytestmark = pytest.mark.unit


def test_every_sentence_has_its_speech_and_together_they_are_small() -> None:
    files = {path.stem: path.stat().st_size for path in SPEECH.glob("*.opus")}
    assert set(files) == set(library().sentences)
    assert sum(files.values()) <= 300_000


def test_three_voices_share_the_conversation() -> None:
    script = load_script("conversation")
    assert len({speaker.voice for speaker in script.speakers.values()}) == 3
    for key in script.speakers:
        assert sum(line.end - line.start for line in script.lines_of(key)) > 5 * FRAMES_PER_SECOND


def test_the_conversation_lasts_half_a_minute_or_more_and_overlaps_somewhere() -> None:
    script = load_script("conversation")
    assert 30 <= script.frames / FRAMES_PER_SECOND <= 50
    overlaps = [b for a, b in itertools.pairwise(script.lines) if b.start < a.end]
    assert len(overlaps) == 2


def test_nobody_talks_over_himself() -> None:
    for name in library().scripts:
        script = load_script(name)
        for key in script.speakers:
            lines = script.lines_of(key)
            assert all(a.end < b.start for a, b in itertools.pairwise(lines))


def test_speech_is_mono_packets_of_20_ms_with_plausible_levels() -> None:
    for line in load_script("conversation").lines:
        # RFC 6716, section 3.1: configuration 15 is 20 ms; no stereo bit; one frame a packet.
        assert {packet[0] for packet in line.speech.packets} <= {0x78, 0x70, 0x48, 0x58, 0x68}
        assert -20 < max(line.speech.levels) < -5
        assert len(line.speech.levels) == len(line.speech.packets) == line.end - line.start


def test_an_unknown_script_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BadInput, match="conversation, short"):
        load_script("opera")
