"""From a request to a checked job: platform, room, policy, targets, secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from api.schemas.create_job import AutoLeaveIn, CreateJob, DiscordIn
from api.services import Services
from core.accounts.models import Team
from core.accounts.service import Caller
from core.errors import BadInput, Issue, TooLarge
from core.jobs.creation import NewJob
from core.jobs.leaving import leaving_policy
from core.jobs.spec import RecordingOptions, TranscriptionOptions
from core.network.addresses import check_url
from core.platforms.registry import Detected, DetectionContext, detect, spec_of
from core.platforms.zoom_settings import asked_engine, is_engine

DEFAULT_NAME: Final = "meetbot"
SANDBOX: Final = "sandbox"
FARTHEST_AHEAD: Final = timedelta(days=365)
MOST_METADATA_BYTES: Final = 16 * 1024


async def checked_job(body: CreateJob, caller: Caller, services: Services) -> NewJob:
    """What to create for `body`.

    Raises:
        BadInput: with the field and what to do about it.
        TooLarge: the metadata has more than 16 KiB.
    """
    metadata = checked_metadata(body.metadata or {})
    detected = _detected(body, metadata, caller, services)
    discord = _discord(body, detected)
    await _check_server(metadata, services)
    webhooks = await _webhooks(body, caller.team_id, services)
    # A test key drives a scripted room that is made when the bot starts, unless the URL is a
    # sandbox room already (design.md D13).
    scripted = not caller.livemode and detected.platform != SANDBOX
    return NewJob(
        team_id=caller.team_id,
        livemode=caller.livemode,
        platform=detected.platform,
        driver=SANDBOX if scripted else detected.platform,
        meeting_url=body.meeting_url.strip(),
        room_url=None if scripted else detected.url,
        display_name=body.display_name or DEFAULT_NAME,
        region=services.settings.region,
        external_id=body.external_id,
        join_at=_join_at(body.join_at, services.clock.now()),
        leave_behavior=body.leave_behavior,
        auto_leave=leaving_policy(
            body.leave_behavior,
            sent_fields(body.auto_leave),
            spec_of(detected.platform).entry_delay_seconds,
        ),
        recording=_recording(body),
        transcription=_transcription(body),
        webhooks=webhooks,
        labels=metadata | _discord_labels(discord) | _zoom_labels(metadata, detected.engine),
        secrets=_secrets(body, discord),
    )


def checked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A customer's own data, as it is stored.

    Raises:
        BadInput: it is no plain JSON.
        TooLarge: it has more than 16 KiB.
    """
    try:
        size = len(json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode())
        storable = "\\u0000" not in json.dumps(metadata)
    except ValueError:
        storable = False
    if not storable:
        message = "metadata must be plain JSON without NaN, infinities and NUL characters."
        raise BadInput(message, [Issue(("metadata",), "invalid_metadata", message)])
    if size > MOST_METADATA_BYTES:
        raise TooLarge("metadata has more than 16 KiB when written as JSON; send less.")
    return dict(metadata)


def _detected(
    body: CreateJob, metadata: Mapping[str, Any], caller: Caller, services: Services
) -> Detected:
    settings = services.settings
    context = DetectionContext(
        sandbox_origin=settings.sandbox.origin,
        livemode=caller.livemode,
        trusted_origins=settings.trusted_origins,
        jitsi_server_url=settings.jitsi_server_url,
    )
    return detect(body.meeting_url, platform=body.platform, metadata=metadata, context=context)


def _discord(body: CreateJob, detected: Detected) -> DiscordIn | None:
    if detected.platform != "discord":
        return None
    if body.discord is None:
        message = "For Discord send the bot's own token in discord.botToken, and the ids."
        raise BadInput(message, [Issue(("discord", "botToken"), "missing", message)])
    parts = urlsplit(body.meeting_url.strip())
    if (body.discord.guild_id, body.discord.channel_id) != (parts.netloc, parts.path.strip("/")):
        message = "discord.guildId and discord.channelId must be those of meetingUrl."
        raise BadInput(message, [Issue(("discord",), "conflicting_ids", message)])
    return body.discord


async def _check_server(metadata: Mapping[str, Any], services: Services) -> None:
    """`detect` has checked its form; here, that it does not lead inside (CV-16)."""
    jitsi = metadata.get("jitsi")
    server = jitsi.get("serverUrl") if isinstance(jitsi, Mapping) else None
    if isinstance(server, str):
        await check_url(
            server,
            services.settings.trusted_origins,
            path=("metadata", "jitsi", "serverUrl"),
            resolver=services.resolver,
        )


async def _webhooks(body: CreateJob, team_id: str, services: Services) -> dict[str, Any] | None:
    nested = body.webhooks
    target = (nested.on_finalize if nested else None) or body.on_finalize_url
    if target is None:
        return None
    path = ("webhooks", "onFinalize") if nested and nested.on_finalize else ("on_finalize_url",)
    trusted = services.settings.trusted_origins
    await check_url(target, trusted, path=path, resolver=services.resolver)
    events = nested.events if nested else None
    return {
        "onFinalize": target,
        "version": (nested.version if nested else None) or await _version(team_id, services),
        "events": [event.value for event in events] if events is not None else None,
    }


async def _version(team_id: str, services: Services) -> int:
    """The team's own, of which nothing is said in the request (WH-13)."""
    async with services.database.begin() as session:
        return (await session.get_one(Team, team_id)).webhook_version


def _join_at(asked: datetime | None, now: datetime) -> datetime | None:
    """Past times mean now (API-54)."""
    if asked is None or asked <= now:
        return None
    if asked - now > FARTHEST_AHEAD:
        message = "joinAt may be at most 365 days ahead."
        raise BadInput(message, [Issue(("joinAt",), "too_far_ahead", message)])
    return asked


def sent_fields(auto_leave: AutoLeaveIn | None) -> dict[str, Any]:
    """Only what was sent: the rest comes from `leaveBehavior` and the defaults (LC-23)."""
    return auto_leave.model_dump(exclude_unset=True) if auto_leave is not None else {}


def _recording(body: CreateJob) -> RecordingOptions:
    asked = body.recording
    return RecordingOptions(video=asked.video, fps=asked.fps) if asked else RecordingOptions()


def _transcription(body: CreateJob) -> TranscriptionOptions | None:
    asked = body.transcription
    return TranscriptionOptions(**asked.model_dump()) if asked is not None else None


def _discord_labels(discord: DiscordIn | None) -> dict[str, Any]:
    """The ids only, never the token (API-66)."""
    if discord is None:
        return {}
    ids = {"guildId": discord.guild_id, "channelId": discord.channel_id}
    if discord.text_channel_id is not None:
        ids["textChannelId"] = discord.text_channel_id
    return {"discord": ids}


def _zoom_labels(metadata: Mapping[str, Any], engine: str | None) -> dict[str, Any]:
    """`metadata.zoom.engine`, also where the platform's name asks for it (`zoom_sdk`, PL-25)."""
    asked = asked_engine(metadata)
    if asked is None and engine is not None:
        zoom = metadata.get("zoom")
        others = dict(zoom) if isinstance(zoom, Mapping) else {}
        return {"zoom": others | {"engine": engine}}
    if asked is not None and not (is_engine(asked) and engine in (None, asked)):
        message = "metadata.zoom.engine is web or sdk, and the same as in platform."
        raise BadInput(message, [Issue(("metadata", "zoom", "engine"), "invalid_engine", message)])
    return {}


def _secrets(body: CreateJob, discord: DiscordIn | None) -> dict[str, SecretStr]:
    found: dict[str, SecretStr] = {}
    if body.meeting_password is not None:
        found["meetingPassword"] = body.meeting_password
    if discord is not None:
        found["discordBotToken"] = discord.bot_token
    return found
