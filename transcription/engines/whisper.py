"""faster-whisper on this machine's CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.errors import ModelMissing
from core.settings import TranscriptionSettings
from transcription.engine import Engine, Heard, Samples, Word
from transcription.engines.languages import primary


class WhisperEngine(Engine):
    """A CTranslate2 Whisper model, loaded on first use."""

    provider = "whisper"

    def __init__(self, settings: TranscriptionSettings) -> None:
        self.model = Path(settings.model).name
        self._settings = settings
        self._loaded: Any = None

    def _load(self) -> Any:
        if self._loaded is not None:
            return self._loaded
        # Imported here because it takes a second, which only jobs with a transcript should pay.
        from faster_whisper import WhisperModel

        wanted = self._settings.model
        if "/" in wanted and wanted.count("/") != 1 and not Path(wanted).is_dir():
            raise ModelMissing(_missing(wanted, "there is no such folder"))
        try:
            self._loaded = WhisperModel(
                wanted,
                device="cpu",
                compute_type=self._settings.compute_type,
                cpu_threads=self._settings.threads,
            )
        except Exception as exc:  # the hub client raises a dozen unrelated classes
            raise ModelMissing(_missing(wanted, f"{type(exc).__name__}: {exc}")) from exc
        return self._loaded

    def _words(self, samples: Samples, language: str | None) -> Heard:
        segments, info = self._load().transcribe(
            samples,
            language=primary(language) if language is not None else None,
            word_timestamps=True,
            vad_filter=True,
            vad_parameters={"min_silence_duration_ms": 500, "speech_pad_ms": 200},
            # Text of one utterance must not leak into the next: they may be minutes apart.
            condition_on_previous_text=False,
        )
        words = tuple(
            Word(float(word.start), float(word.end), str(word.word))
            for segment in segments
            for word in segment.words or ()
        )
        return Heard(str(info.language), words)


def _missing(model: str, why: str) -> str:
    return (
        f"The speech model {model!r} is not available ({why}). Set MEETBOT_TRANSCRIPTION__MODEL "
        "to a faster-whisper model name that this machine may download, or to a folder that "
        "holds a CTranslate2 model."
    )
