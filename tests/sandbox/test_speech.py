from __future__ import annotations

import numpy as np
import pytest
from faster_whisper import WhisperModel

from sandbox.script import SPEECH, library
from tests.support.speech import decode, tiny_model, word_error_rate
from transcription.engine import SAMPLE_RATE, Samples

pytestmark = [pytest.mark.media, pytest.mark.timeout(120)]


PAUSE = np.zeros(SAMPLE_RATE, np.float32)


@pytest.fixture(scope="module")
def model() -> WhisperModel:
    return WhisperModel(tiny_model(), compute_type="int8", cpu_threads=2)


def test_a_small_model_understands_the_whole_conversation(model: WhisperModel) -> None:
    """The transcript's error rate is then the recorder's doing, not the speech's."""
    said = [sentence.text for sentence in library().sentences.values()]
    # One after the other in one recording: the model takes 30 s at a time, however short a file is.
    spoken = [part for name in library().sentences for part in (_speech(name), PAUSE)]
    segments, _ = model.transcribe(np.concatenate(spoken), language="en", beam_size=1)
    heard = " ".join(segment.text for segment in segments)
    assert word_error_rate(" ".join(said), heard) <= 0.05


def _speech(name: str) -> Samples:
    return decode(SPEECH / f"{name}.opus")
