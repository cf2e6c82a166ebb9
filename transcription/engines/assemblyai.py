"""AssemblyAI: upload, ask for a transcript, poll until it is there.

https://www.assemblyai.com/docs/api-reference/transcripts
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from core.errors import ProviderFailed
from core.network.pinned import PinnedClient
from transcription.engine import Heard
from transcription.engines.languages import primary
from transcription.engines.provider import Answer, ProviderEngine, spaced

# Languages that the first one does not know are the second's.
USUAL_MODELS: Final = ("universal-3-pro", "universal-2")
FIRST_POLL: Final = 2.0
LONGEST_POLL: Final = 10.0
# What it says of a track in which nobody spoke.
NOBODY_SPOKE: Final = "no spoken audio"


class _Upload(Answer):
    upload_url: str


class _Word(Answer):
    text: str
    # Milliseconds.
    start: int
    end: int


class _Transcript(Answer):
    id: str
    status: Literal["queued", "processing", "completed", "error"]
    error: str | None = None
    language_code: str | None = None
    words: tuple[_Word, ...] | None = None


class AssemblyAIEngine(ProviderEngine):
    """Its pre-recorded speech-to-text."""

    usual_url = "https://api.assemblyai.com"
    usual_model = "universal-3-pro"
    title = "AssemblyAI"

    def _authorization(self, key: str) -> str:
        return key

    async def _heard(self, client: PinnedClient, audio: bytes, language: str | None) -> Heard:
        upload = await self.ask(
            client,
            _Upload,
            "POST",
            "/v2/upload",
            content=audio,
            content_type="application/octet-stream",
        )
        models = USUAL_MODELS if self.model == self.usual_model else (self.model,)
        wish: dict[str, Any] = {
            "audio_url": upload.upload_url,
            "speech_models": models,
            "punctuate": True,
            "format_text": True,
        }
        if language is None:
            wish["language_detection"] = True
        else:
            wish["language_code"] = language.lower().replace("-", "_")
        found = await self.ask(
            client,
            _Transcript,
            "POST",
            "/v2/transcript",
            content=json.dumps(wish).encode(),
            content_type="application/json",
        )
        wait = FIRST_POLL
        while found.status in ("queued", "processing"):
            await self.pause(wait)
            wait = min(wait * 1.5, LONGEST_POLL)
            found = await self.ask(client, _Transcript, "GET", f"/v2/transcript/{found.id}")
        if found.status == "error":
            if NOBODY_SPOKE in (found.error or ""):
                return Heard(language or "und", ())
            raise ProviderFailed(f"{self.title} could not transcribe: {found.error}")
        spoken = primary(found.language_code or language or "und")
        words = ((w.start / 1000, w.end / 1000, w.text) for w in found.words or ())
        return Heard(spoken, spaced(words, spoken))
