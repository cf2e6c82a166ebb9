"""Whisper behind OpenAI's protocol: OpenAI itself, or any server that speaks like it.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from core.network.pinned import PinnedClient
from transcription.audio import FILE_NAME, MIME_TYPE
from transcription.engine import Heard
from transcription.engines.languages import code_of, primary
from transcription.engines.provider import Answer, ProviderEngine, spaced

# OpenAI takes files of 25 MB; two hours of our audio have 22.
LONGEST_SECONDS: Final = 2 * 3600


class _Word(Answer):
    word: str
    # Seconds.
    start: float
    end: float


class _Segment(Answer):
    text: str
    start: float
    end: float


class _Verbose(Answer):
    language: str | None = None
    words: tuple[_Word, ...] | None = None
    segments: tuple[_Segment, ...] | None = None


class WhisperApiEngine(ProviderEngine):
    """`POST /audio/transcriptions` with times of words; of segments, where a server has no more."""

    usual_url = "https://api.openai.com/v1"
    usual_model = "whisper-1"
    title = "The Whisper API"
    longest_seconds = LONGEST_SECONDS

    def _authorization(self, key: str) -> str:
        return f"Bearer {key}"

    def _reason(self, body: Mapping[str, Any]) -> str:
        error = body.get("error")
        return str(error.get("message") or "") if isinstance(error, dict) else super()._reason(body)

    async def _heard(self, client: PinnedClient, audio: bytes, language: str | None) -> Heard:
        fields: dict[str, Any] = {
            "model": self.model,
            "response_format": "verbose_json",
            "timestamp_granularities[]": ["word", "segment"],
        }
        if language is not None:
            fields["language"] = primary(language)
        form = httpx.Request(
            "POST", self._base, data=fields, files={"file": (FILE_NAME, audio, MIME_TYPE)}
        )
        found = await self.ask(
            client,
            _Verbose,
            "POST",
            "/audio/transcriptions",
            content=form.read(),
            content_type=form.headers["content-type"],
        )
        spoken = code_of(found.language) if found.language else primary(language or "und")
        return Heard(spoken, spaced(_timed(found), spoken))


def _timed(found: _Verbose) -> Iterator[tuple[float, float, str]]:
    """Words with the punctuation that only segments have, where the two can be matched."""
    segments = found.segments or ()
    if not found.words:
        return ((s.start, s.end, s.text.strip()) for s in segments if s.text.strip())
    written = [token for segment in segments for token in segment.text.split()]
    texts = written if _match(written, found.words) else [word.word.strip() for word in found.words]
    return ((w.start, w.end, text) for w, text in zip(found.words, texts, strict=True))


def _match(written: Sequence[str], words: Sequence[_Word]) -> bool:
    return len(written) == len(words) and all(
        _bare(word.word) in _bare(token) for token, word in zip(written, words, strict=True)
    )


def _bare(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
