"""The job document: all that a bot process is told about its job.

It travels from the job store to the bot, never into Prefect parameters or logs, because it may
hold the meeting password.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core.integrations.state import StorageState
from core.platforms.zoom_settings import ZoomEngine

VideoChoice = Literal["off", "tab", "screenshare", "participants"]
Seconds = Annotated[int, Field(ge=1, le=86_400)]


class AutoLeavePolicy(BaseModel):
    """When the bot leaves by itself (LC-24); None switches a clock off. All in seconds."""

    model_config = ConfigDict(frozen=True)

    after_entry_delay_seconds: Seconds = 600
    after_max_seconds: Seconds = 14_400
    after_silence_seconds: Seconds | None = 600
    after_solo_seconds: Seconds | None = 120
    on_bot_detected: bool = False
    when_host_leaves: bool = False


class RecordingOptions(BaseModel):
    """What is recorded besides every speaker's audio (design.md D24)."""

    model_config = ConfigDict(frozen=True)

    video: VideoChoice = "tab"
    fps: int = Field(default=10, ge=1, le=30)


class TranscriptionOptions(BaseModel):
    """Who transcribes, if anybody (API-61); `wait`: whether the manifest waits for it (D18)."""

    model_config = ConfigDict(frozen=True)

    mode: Literal["off", "byok", "addon"] = "off"
    provider: Literal["assemblyai", "deepgram", "whisper"] | None = None
    language: str | None = None
    wait: bool = True


class JobSpec(BaseModel):
    """One attempt at one job.

    `room_url` is what the browser opens: the submitted `meeting_url`, a rewritten form of it, or
    the scripted sandbox room of a test job. `platform` is what the customer sees; `driver` is
    whose page it is (they differ for test jobs only). `fence` numbers the attempts (D10).
    """

    model_config = ConfigDict(frozen=True)

    job_id: str
    fence: int = Field(ge=1)
    platform: str
    driver: str
    meeting_url: str
    room_url: str
    display_name: str
    livemode: bool
    join_at: datetime | None = None
    auto_leave: AutoLeavePolicy = AutoLeavePolicy()
    recording: RecordingOptions = RecordingOptions()
    meeting_password: SecretStr | None = None
    # What the bot joins by where a platform has several; None: what the operator has set (PL-25).
    engine: ZoomEngine | None = None
    # The account that the bot signs in with; a guest has none (PL-24).
    signed_in: StorageState | None = None
