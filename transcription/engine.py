"""What a speech engine does: samples in, timed words out.

`Engine.words` owns the log line and the error translation; an engine implements `_words`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import TranscriptionError

# Every engine takes mono float32 at this rate.
SAMPLE_RATE: Final = 16_000

Samples = NDArray[np.float32]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Word:
    """One word, or the smallest timed unit an engine has. Times are seconds in its samples."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Heard:
    """What an engine understood. `language` is an ISO 639-1 code."""

    language: str
    words: tuple[Word, ...]


class Engine(ABC):
    """A speech-to-text engine. `provider` and `model` are written into the transcript."""

    provider: str
    model: str

    def words(self, samples: Samples, language: str | None) -> Heard:
        """The words spoken in `samples`; blocks while it computes.

        Raises:
            TranscriptionError: the engine failed; the message says why.
        """
        try:
            heard = self._words(samples, language)
        except TranscriptionError:
            raise
        except (RuntimeError, ValueError, OSError) as exc:
            raise TranscriptionError(f"{self.provider} {self.model} failed: {exc}") from exc
        _log.info(
            "%s understood %d words in %.1f s of speech",
            self.provider,
            len(heard.words),
            len(samples) / SAMPLE_RATE,
        )
        return heard

    @abstractmethod
    def _words(self, samples: Samples, language: str | None) -> Heard: ...
