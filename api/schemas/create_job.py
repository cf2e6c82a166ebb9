"""The body of `POST /api/v1/jobs` (API-50 to API-62)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, StrictBool, StrictInt, field_validator, model_validator

from api.schemas.wire import MomentIn, Printable, Request, conflict
from core.jobs.spec import VideoChoice
from core.webhooks.events import EventName

SecondsIn = Annotated[StrictInt, Field(ge=1, le=86_400)]
Snowflake = Annotated[str, Field(pattern=r"^[0-9]{17,19}$")]
ExternalId = Annotated[Printable, Field(min_length=1, max_length=255)]


Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class AutoLeaveIn(Request):
    """Thresholds in seconds; null switches silence and solo off (API-56)."""

    after_entry_delay_seconds: SecondsIn = 600
    after_max_seconds: SecondsIn = 14_400
    after_silence_seconds: SecondsIn | None = None
    after_solo_seconds: SecondsIn | None = None
    on_bot_detected: StrictBool = False


class WebhooksIn(Request):
    """Where events go, in which version, and which of them (API-57)."""

    on_finalize: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    version: Literal[1, 2] | None = None
    events: list[EventName] | None = None


class RecordingIn(Request):
    """What is recorded besides every speaker's audio."""

    video: VideoChoice = "tab"
    fps: Annotated[StrictInt, Field(ge=1, le=30)] = 10


class TranscriptionIn(Request):
    """`addon` is ours, `byok` your provider's; `wait`: whether the manifest waits for it."""

    mode: Literal["off", "byok", "addon"] = "off"
    provider: Literal["assemblyai", "deepgram", "whisper"] | None = None
    language: Language | None = None
    wait: StrictBool = True

    @model_validator(mode="after")
    def _provider_fits(self) -> Self:
        if self.mode != "byok" and self.provider is not None:
            raise ValueError("provider goes with mode byok only.")
        return self


class DiscordIn(Request):
    """Which voice channel, and the bot's own token, which is never shown again (API-60)."""

    bot_token: Annotated[SecretStr, Field(min_length=1, max_length=200)]
    guild_id: Snowflake
    channel_id: Snowflake
    text_channel_id: Snowflake | None = None


class CreateJob(Request):
    """A bot for a meeting."""

    ALSO: ClassVar[Mapping[str, tuple[str, ...]]] = {"meeting_url": ("url",)}

    meeting_url: Annotated[
        str,
        Field(min_length=1, max_length=2048, examples=["https://meet.google.com/abc-defg-hij"]),
    ]
    external_id: ExternalId | None = None
    platform: str | None = None
    display_name: Annotated[Printable, Field(min_length=1, max_length=64)] | None = None
    join_at: MomentIn | None = None
    leave_behavior: str | None = None
    auto_leave: AutoLeaveIn | None = None
    webhooks: WebhooksIn | None = None
    on_finalize_url: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    metadata: dict[str, Any] | None = None
    recording: RecordingIn | None = None
    discord: DiscordIn | None = None
    transcription: TranscriptionIn | None = None
    meeting_password: Annotated[SecretStr, Field(min_length=1, max_length=255)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _discord_from_metadata(cls, data: Any) -> Any:
        """`metadata.discord` is an older place for the same block."""
        if not isinstance(data, dict) or not isinstance(data.get("metadata"), dict):
            return data
        metadata = dict(data["metadata"])
        block = metadata.pop("discord", None)
        if block is None:
            return data
        if data.get("discord") not in (None, block):
            raise conflict("discord", ["discord", "metadata.discord"])
        return {**data, "metadata": metadata, "discord": block}

    @model_validator(mode="after")
    def _one_webhook_target(self) -> Self:
        nested = self.webhooks.on_finalize if self.webhooks else None
        if nested and self.on_finalize_url and nested != self.on_finalize_url:
            raise conflict("webhooks", ["webhooks.onFinalize", "on_finalize_url"])
        return self

    @field_validator("display_name", mode="before")
    @classmethod
    def _trimmed(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value
