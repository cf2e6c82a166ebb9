"""A team's settings for transcription, and what they make of a job's wishes (API-44, API-61)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast

from pydantic import SecretStr
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import BadInput, Issue, TranscriptionError
from core.jobs.spec import TranscriptionOptions
from core.secrets import SecretBox
from core.transcripts.models import ProviderKey, TeamTranscription

Provider = Literal["assemblyai", "deepgram", "whisper"]
PROVIDERS: Final[tuple[Provider, ...]] = ("assemblyai", "deepgram", "whisper")
SET_A_KEY: Final = "PUT /api/v1/settings/transcription"


@dataclass(frozen=True)
class ProviderAccess:
    """How to reach a provider on a team's behalf; None: the provider's usual address and model."""

    provider: Provider
    api_key: SecretStr
    base_url: str | None = None
    model: str | None = None


async def team_options(session: AsyncSession, team_id: str) -> TranscriptionOptions:
    """What the team's jobs get when they say nothing; off where the team has set nothing."""
    row = await session.get(TeamTranscription, team_id)
    if row is None:
        return TranscriptionOptions()
    return TranscriptionOptions.model_validate(row.model_dump())


async def save_options(
    session: AsyncSession, team_id: str, options: TranscriptionOptions, *, now: datetime
) -> None:
    """Make `options` the team's; the caller has checked them with `options_for`."""
    row = await session.get(TeamTranscription, team_id)
    row = row or TeamTranscription(team_id=team_id, mode="off", updated_at=now)
    row.mode, row.provider = options.mode, options.provider
    row.language, row.wait, row.updated_at = options.language, options.wait, now
    session.add(row)
    await session.flush()


async def provider_keys(session: AsyncSession, team_id: str) -> Mapping[Provider, ProviderKey]:
    """The team's stored keys by provider, still sealed."""
    found = await session.exec(select(ProviderKey).where(ProviderKey.team_id == team_id))
    return {cast("Provider", row.provider): row for row in found.all()}


async def options_for(
    session: AsyncSession, team_id: str, asked: TranscriptionOptions | None
) -> TranscriptionOptions:
    """What a job gets: its own wishes, and the team's where it has none.

    With `byok` and no provider, the team's provider is meant, or the only one with a key.

    Raises:
        BadInput: the provider's key is not stored, or it is not clear which provider is meant.
    """
    usual = await team_options(session, team_id)
    if asked is None:
        return usual
    language = asked.language or usual.language
    if asked.mode != "byok":
        return asked.model_copy(update={"provider": None, "language": language})
    stored = await provider_keys(session, team_id)
    only = next(iter(stored)) if len(stored) == 1 else None
    provider = asked.provider or usual.provider or only
    if provider is None:
        message = f"Say which provider transcribes: one of {', '.join(PROVIDERS)}."
        raise BadInput(message, [Issue(("transcription", "provider"), "missing", message)])
    if provider not in stored:
        message = f"There is no stored key for {provider}; set it with {SET_A_KEY}."
        raise BadInput(message, [Issue(("transcription", "mode"), "no_provider_key", message)])
    return asked.model_copy(update={"provider": provider, "language": language})


async def provider_access(
    session: AsyncSession, box: SecretBox, team_id: str, provider: str | None
) -> ProviderAccess:
    """The opened key of a provider, to be used now.

    Raises:
        TranscriptionError: the team has taken its key away.
        Unavailable: the key does not open with ours.
    """
    row = await session.get(ProviderKey, (team_id, provider)) if provider else None
    if row is None:
        raise TranscriptionError(
            f"There is no stored key for {provider or 'the provider'} any more; set it with "
            f"{SET_A_KEY} and transcribe again."
        )
    known = cast("Provider", row.provider)
    return ProviderAccess(known, box.open(row.api_key), row.base_url, row.model)
