"""All settings, as one typed tree. Built once per process by its entry point and passed down.

Every field is an environment variable: `MEETBOT_` + the path with `__`, for example
`MEETBOT_STORAGE__BUCKET`. Secrets are `SecretStr`. Nothing else reads the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, BaseModel, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65_535)]
Positive = Annotated[float, Field(gt=0)]


def _comma_list(value: object) -> object:
    """As an environment variable a list is one text."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class ApiSettings(BaseModel):
    """The HTTP API. `public_url` is how customers reach it; links are built from it."""

    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: str = "http://127.0.0.1:8080"
    region: str = "local"


class PrefectSettings(BaseModel):
    """Where Prefect runs. `auth` is `user:password`; the server never runs without it."""

    host: str = "127.0.0.1"
    port: Port = 4200
    auth: SecretStr | None = None
    work_pool: str = "meetings"
    deployment: str = "meeting/meeting"

    @property
    def ui_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.ui_url}/api"


class StorageSettings(BaseModel):
    """The operator's default bucket: a local folder (design.md D20) or S3.

    Teams bring their own S3 settings; `local` is never settable by a team.
    """

    kind: Literal["local", "s3"] = "local"
    # The local backend.
    root: Path | None = None
    files_host: str = "127.0.0.1"
    files_port: Port = 8082
    link_secret: SecretStr | None = None
    # The S3 backend.
    bucket: str = ""
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    force_path_style: bool = False
    # The wait before an upload is tried again; it doubles with every attempt.
    first_retry_seconds: Positive = 2


class BotSettings(BaseModel):
    """The browser and the time limits of a bot. All limits in seconds."""

    chromium: Path | None = None
    unsafe_no_sandbox: bool = False
    loopback_webrtc: bool = False
    headless: bool = True
    start_timeout_seconds: Positive = 60
    navigation_timeout_seconds: Positive = 30
    join_timeout_seconds: Positive = 60
    network_grace_seconds: Positive = 60
    lease_seconds: Positive = 10
    bundle_seconds: Positive = 3
    # Names of other companies' bots, besides Otter, Fireflies and Read (PL-13).
    competing_bots: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("competing_bots", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return _comma_list(value)


class SandboxSettings(BaseModel):
    """The sandbox meeting platform (design.md D13)."""

    host: str = "127.0.0.1"
    port: Port = 8081
    origin: str = "http://127.0.0.1:8081"
    # Presented by the API when it makes a scripted room; kept from the rooms' guests.
    admin_token: SecretStr | None = None
    max_rooms: int = Field(default=50, ge=1)


class WebhookSettings(BaseModel):
    """Delivery of webhooks (WH-20…23). `first_retry_seconds` scales the whole schedule."""

    timeout_seconds: Positive = 10
    first_retry_seconds: Positive = 10
    legacy_fields: bool = True


class TranscriptionSettings(BaseModel):
    """Local transcription. `model`: a faster-whisper name, or a folder in CTranslate2 form."""

    model: str = "small"
    compute_type: str = "int8"
    threads: int = Field(default=2, ge=1)
    deadline_seconds: Positive = 600


class LifecycleSettings(BaseModel):
    dispatch_timeout_seconds: Positive = 60
    # How long before `joinAt` a job's run starts, to wait ready (design.md D11).
    lead_seconds: Positive = 60


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MEETBOT_", env_nested_delimiter="__")

    # Everything this machine keeps: embedded database, work files, local storage, logs.
    data_dir: Path = Path(".meetbot")
    # A PostgreSQL URL; None means that `meetbot-server up` runs a private server.
    database_url: SecretStr | None = None
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    # Exact origins exempt from "https and public addresses only" (design.md D13).
    trusted_origins: Annotated[tuple[str, ...], NoDecode] = ()

    api: ApiSettings = ApiSettings()
    prefect: PrefectSettings = PrefectSettings()
    storage: StorageSettings = StorageSettings()
    bot: BotSettings = BotSettings()
    sandbox: SandboxSettings = SandboxSettings()
    webhooks: WebhookSettings = WebhookSettings()
    transcription: TranscriptionSettings = TranscriptionSettings()
    lifecycle: LifecycleSettings = LifecycleSettings()

    @field_validator("encryption_keys", "trusted_origins", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return _comma_list(value)

    @field_validator("trusted_origins")
    @classmethod
    def _origins_only(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            url = AnyHttpUrl(origin)
            if url.path not in (None, "/") or url.query or origin.endswith("/"):
                raise ValueError(f"{origin!r} is not an origin; write it as scheme://host[:port]")
        return value

    @property
    def work_dir(self) -> Path:
        """Where live meetings journal; one folder per job below it."""
        return self.data_dir / "work"

    @property
    def worker_mark(self) -> Path:
        """The file that the worker touches when it takes runs."""
        return self.data_dir / "worker.ready"

    @property
    def local_storage_root(self) -> Path:
        return self.storage.root or self.data_dir / "storage"
