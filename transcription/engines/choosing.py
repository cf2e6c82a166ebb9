"""Which engine transcribes a job: this machine's, or the customer's provider (AR-10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.settings import Settings
from core.transcripts.settings import ProviderAccess
from transcription.engine import Engine
from transcription.engines.assemblyai import AssemblyAIEngine
from transcription.engines.deepgram import DeepgramEngine
from transcription.engines.provider import ProviderEngine
from transcription.engines.whisper import WhisperEngine
from transcription.engines.whisper_api import WhisperApiEngine

PROVIDERS: Final[Mapping[str, type[ProviderEngine]]] = {
    "assemblyai": AssemblyAIEngine,
    "deepgram": DeepgramEngine,
    "whisper": WhisperApiEngine,
}


def create_engine(access: ProviderAccess | None, settings: Settings) -> Engine:
    """The engine of the add-on, or with `access` that of the customer's provider."""
    if access is None:
        return WhisperEngine(settings.transcription)
    return PROVIDERS[access.provider](
        access,
        seconds=settings.transcription.deadline_seconds,
        trusted_origins=settings.trusted_origins,
    )
