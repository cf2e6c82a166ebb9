"""Deepgram: one request per file, answered when everything is understood.

https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from core.network.pinned import PinnedClient
from transcription.audio import MIME_TYPE
from transcription.engine import Heard
from transcription.engines.languages import primary
from transcription.engines.provider import Answer, ProviderEngine, spaced


class _Word(Answer):
    word: str
    # With its punctuation and capitals.
    punctuated_word: str | None = None
    # Seconds.
    start: float
    end: float


class _Alternative(Answer):
    words: tuple[_Word, ...] = ()


class _Channel(Answer):
    alternatives: tuple[_Alternative, ...] = ()
    detected_language: str | None = None


class _Results(Answer):
    channels: tuple[_Channel, ...]


class _Listened(Answer):
    results: _Results


class DeepgramEngine(ProviderEngine):
    """Its pre-recorded speech-to-text."""

    usual_url = "https://api.deepgram.com"
    usual_model = "nova-3"
    title = "Deepgram"

    def _authorization(self, key: str) -> str:
        return f"Token {key}"

    def _reason(self, body: Mapping[str, Any]) -> str:
        parts = (body.get("err_code"), body.get("err_msg"))
        return " ".join(str(part) for part in parts if part)

    async def _heard(self, client: PinnedClient, audio: bytes, language: str | None) -> Heard:
        query = {"model": self.model, "smart_format": "true"}
        query |= {"detect_language": "true"} if language is None else {"language": language}
        found = await self.ask(
            client,
            _Listened,
            "POST",
            f"/v1/listen?{urlencode(query)}",
            content=audio,
            content_type=MIME_TYPE,
        )
        channel = found.results.channels[0] if found.results.channels else _Channel()
        spoken = primary(channel.detected_language or language or "und")
        best = channel.alternatives[0].words if channel.alternatives else ()
        words = ((w.start, w.end, w.punctuated_word or w.word) for w in best)
        return Heard(spoken, spaced(words, spoken))
