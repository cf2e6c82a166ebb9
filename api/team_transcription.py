"""What a team's wishes for its transcripts come to (API-44)."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from api.schemas.settings import TranscriptionSettingsIn, TranscriptionSettingsOut
from api.services import Services
from core.accounts.models import Team
from core.errors import BadInput, Issue
from core.jobs.spec import TranscriptionOptions
from core.network.addresses import check_url
from core.transcripts.models import ProviderKey
from core.transcripts.settings import Provider, options_for, provider_keys, save_options


async def saved_transcription(
    services: Services, team_id: str, body: TranscriptionSettingsIn
) -> TranscriptionSettingsOut:
    """Store the key, where one was sent, and make `body` the team's choice.

    Raises:
        BadInput: `byok` without a stored key, or an address that may not be connected to.
    """
    if body.base_url is not None:
        await check_url(
            body.base_url,
            services.settings.trusted_origins,
            path=("baseUrl",),
            resolver=services.resolver,
        )
    async with services.database.begin() as session:
        await session.get_one(Team, team_id, with_for_update=True)
        if body.provider is not None:
            await _save_key(session, services, team_id, body, body.provider)
        asked = TranscriptionOptions(
            mode=body.mode, provider=body.provider, language=body.language, wait=body.wait
        )
        if asked.mode == "byok":
            # Refused here rather than when the first job is made.
            await options_for(session, team_id, asked)
        else:
            asked = asked.model_copy(update={"provider": None})
        await save_options(session, team_id, asked, now=services.clock.now())
        keys = await provider_keys(session, team_id)
    return TranscriptionSettingsOut.of(asked, keys)


async def _save_key(
    session: AsyncSession,
    services: Services,
    team_id: str,
    body: TranscriptionSettingsIn,
    provider: Provider,
) -> None:
    sent, now = body.model_fields_set, services.clock.now()
    row = await session.get(ProviderKey, (team_id, provider))
    if body.api_key is not None:
        row = row or ProviderKey(team_id=team_id, provider=provider, api_key="", updated_at=now)
        row.api_key = services.box.seal(body.api_key)
    elif "api_key" in sent:
        if row is not None:
            await session.delete(row)
            await session.flush()
        return
    elif row is None:
        if {"base_url", "model"} & sent:
            message = f"There is no stored key for {provider}; send apiKey as well."
            raise BadInput(message, [Issue(("apiKey",), "missing", message)])
        return
    elif "base_url" in sent and body.base_url != row.base_url:
        # A key is given to the server it was entered for, and to no other.
        message = "Send apiKey again with another baseUrl: keys are not taken to a new address."
        raise BadInput(message, [Issue(("apiKey",), "missing", message)])
    if "base_url" in sent or body.api_key is not None:
        row.base_url = body.base_url
    if "model" in sent:
        row.model = body.model
    row.updated_at = now
    session.add(row)
    await session.flush()
