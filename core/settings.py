"""All settings, as one typed tree. Built once per process by its entry point and passed down.

Every field is an environment variable: `MEETBOT_` + the path with `__`, for example
`MEETBOT_STORAGE__BUCKET`. Secrets are `SecretStr`. Nothing else reads the environment.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, AnyHttpUrl, BaseModel, Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.calendars.settings import CalendarSettings
from core.invites.settings import IntakeSettings
from core.platforms.zoom_settings import ZoomSettings
from core.prices import PriceList

Port = Annotated[int, Field(ge=1, le=65_535)]
Positive = Annotated[float, Field(gt=0)]


def _comma_list(value: object) -> object:
    """As an environment variable a list is one text."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _check_origin(origin: str) -> None:
    url = AnyHttpUrl(origin)
    if url.path not in (None, "/") or url.query or origin.endswith("/"):
        raise ValueError(f"{origin!r} is not an origin; write it as scheme://host[:port]")


class ApiSettings(BaseModel):
    """The HTTP API. `public_url` is how customers reach it; links are built from it."""

    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: str = "http://127.0.0.1:8080"
    # Where people log in, if that is another address: it has to lead to this API, too.
    web_url: str | None = None
    # The operator's bearer secret; without one the operator's routes answer nobody.
    admin_token: SecretStr | None = None
    # Bearer secrets of those who hand in calendar invites by mail.
    intake_tokens: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    # Addresses or networks of our own proxies: of a client's address only they are believed.
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("intake_tokens", "trusted_proxies", mode="before")
    @classmethod
    def _split_tokens(cls, value: object) -> object:
        return _comma_list(value)

    @property
    def login_url(self) -> str:
        """The web origin, without a slash at its end."""
        return (self.web_url or self.public_url).rstrip("/")


class LoginSettings(BaseModel):
    """How people log in."""

    session_days: float = Field(default=30, gt=0)
    # Both or none: without them nobody logs in with Google.
    google_client_id: str | None = None
    google_client_secret: SecretStr | None = None
    google_issuer: str = "https://accounts.google.com"
    google_timeout_seconds: Positive = 10
    # Without a mail server, links are written to the log of the API: for development only.
    links_in_log: bool = False


class IdentitySettings(BaseModel):
    """Teams, people, keys and cards are of one region, and replicated to the others (RG-06)."""

    # False: here they come by replication, and are never changed.
    home: bool = True
    # Where they are made, for the error that says so.
    home_url: str = "https://api.meetbot.dev"
    # The database of the home region, as `meetbot-server identities subscribe` reaches it.
    source_url: SecretStr | None = None
    # The databases of all other regions by their names, from which usage arrives (RG-07).
    other_urls: dict[str, SecretStr] = {}


class MailSettings(BaseModel):
    """The mail server of the operator; without a host no mail is sent."""

    host: str | None = None
    port: Port = 587
    user: str | None = None
    password: SecretStr | None = None
    sender: str = "meetbot <no-reply@localhost>"
    # `starttls` never falls back to plain text.
    security: Literal["starttls", "tls", "none"] = "starttls"
    timeout_seconds: Positive = 10


class LimitSettings(BaseModel):
    """How often something may be asked, per minute (API-85)."""

    # Per team.
    create_job: int = Field(default=60, ge=1)
    requests: int = Field(default=600, ge=1)
    # Per address of the client.
    cli_auth: int = Field(default=10, ge=1)
    login: int = Field(default=10, ge=1)
    # Mails to one address in a quarter of an hour.
    mails: int = Field(default=5, ge=1)


class PrefectSettings(BaseModel):
    """Where Prefect runs. `auth` is `user:password`; the server never runs without it.

    `host` is how others reach it; `bind_host` is where it listens, `host` when None.
    """

    host: str = "127.0.0.1"
    bind_host: str | None = None
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
    """The operator's storage: a local folder (design.md D20) or S3.

    Teams bring their own S3 settings; `local` is never settable by a team. `managed` says who
    without one of their own may record into this one with a live key (MF-21): all teams, those
    that opt in, or none. None: all with `local`, those that opt in with `s3`.
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
    managed: Literal["everyone", "opt_in", "off"] | None = None
    # The wait before an upload is tried again; it doubles with every attempt.
    first_retry_seconds: Positive = 2
    # How long a recording that storage does not take is tried again before its job fails (MF-16).
    keep_seconds: Positive = 86_400

    @property
    def managed_for(self) -> Literal["everyone", "opt_in", "off"]:
        """Who may use this storage for live jobs."""
        if self.managed is not None:
            return self.managed
        return "everyone" if self.kind == "local" else "opt_in"


class BotSettings(BaseModel):
    """The browser and the time limits of a bot. All limits in seconds."""

    chromium: Path | None = None
    unsafe_no_sandbox: bool = False
    loopback_webrtc: bool = False
    headless: bool = True
    start_timeout_seconds: Positive = 60
    navigation_timeout_seconds: Positive = 30
    join_timeout_seconds: Positive = 60
    # A scheduled bot's browser starts so long before `joinAt` (design.md D11).
    ready_seconds: float = Field(default=15, ge=0)
    network_grace_seconds: Positive = 60
    lease_seconds: Positive = 10
    bundle_seconds: Positive = 3
    # With less free space on the disk of `data_dir`, a bot ends its recording and delivers it.
    min_free_mib: float = Field(default=500, ge=0)
    # How bots tell and are told: by the worker's database, or by the API over HTTP (design.md D3).
    channel: Literal["database", "http"] = "database"
    # `key=value`: over HTTP all the same when the job's `metadata` says so, to try it on a few.
    http_metadata: Annotated[str, Field(pattern=r"^[^=]+=.+$")] | None = None
    # Where bots reach the API; None: where customers do.
    api_url: HttpUrl | None = None
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
    # Test jobs that would get a scripted room get one without a browser: for load tests only.
    simulated: bool = False


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
    # How many transcripts are made at once of recordings that were delivered without one.
    at_once: int = Field(default=2, ge=1)


class WorkerSettings(BaseModel):
    """One worker process, and with it one machine: `name` stands for the files in `data_dir`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] = Field(
        default_factory=socket.gethostname, validate_default=True
    )
    # CPU-seconds a minute that the meetings here may use together; None: four fifths of all cores.
    cpu_budget: Annotated[float, Field(gt=0)] | None = None
    # When told to stop: how long meetings may go on, and then how long they may take to leave.
    drain_seconds: float = Field(default=0, ge=0)
    leave_seconds: Positive = 45
    # After so long without a word its recordings are restored elsewhere, as far as they were sent.
    lost_seconds: Positive = 3_600

    @property
    def stop_seconds(self) -> float:
        """How long whoever stops the worker has to wait: until everything is left and settled."""
        return self.drain_seconds + self.leave_seconds + 15

    @property
    def cpu_seconds_a_minute(self) -> float:
        """What meetings may use of this machine."""
        return self.cpu_budget or (os.cpu_count() or 1) * 60 * 0.8


class BillingSettings(BaseModel):
    """What is charged, and Stripe, which collects it (docs/billing.md).

    Without `stripe_key` nothing is reported and nobody is refused, unless `enabled` says so.
    """

    # Whether teams without credit and card are refused; None: where there is a Stripe key.
    enabled: bool | None = None
    prices: PriceList = PriceList()
    stripe_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = None
    stripe_api: str = "https://api.stripe.com"
    timeout_seconds: Positive = 10
    network_retries: int = Field(default=2, ge=0, le=5)
    # What one unit of Stripe's meters is (BL-17): a thousandth of an hour, or a second.
    meter_unit: Literal["thousandths", "seconds"] = "thousandths"

    @property
    def gated(self) -> bool:
        """Whether teams without credit and card are refused (BL-21)."""
        return self.stripe_key is not None if self.enabled is None else self.enabled


class LogSettings(BaseModel):
    """Lines of our own processes, and where OpenTelemetry goes; Prefect's logs are Prefect's."""

    format: Literal["text", "json"] = "text"
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # A line for every request to the API.
    requests: bool = True
    # An OTLP collector over HTTP, such as http://127.0.0.1:4318; None: no OpenTelemetry.
    otlp_endpoint: HttpUrl | None = None


class LifecycleSettings(BaseModel):
    dispatch_timeout_seconds: Positive = 60
    # A job's run starts one to two times this before `joinAt`, to wait ready (design.md D11).
    lead_seconds: Positive = 60
    # How many meetings a team may have at once; more are answered 429. None: as many as fit.
    team_meetings: Annotated[int, Field(ge=1)] | None = None


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="MEETBOT_", env_nested_delimiter="__", populate_by_name=True
    )

    # Everything this machine keeps: embedded database, work files, local storage, logs.
    data_dir: Path = Path(".meetbot")
    # A PostgreSQL URL; None means that `meetbot-server up` runs a private server.
    database_url: SecretStr | None = None
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    # Exact origins exempt from "https and public addresses only" (design.md D13).
    trusted_origins: Annotated[tuple[str, ...], NoDecode] = ()
    # Whose server opens all Jitsi meetings, unless a job names its own (PL-41).
    jitsi_server_url: Annotated[
        str | None,
        Field(validation_alias=AliasChoices("MEETBOT_JITSI_SERVER_URL", "JITSI_SERVER_URL")),
    ] = None
    # Where this deployment is; jobs carry it (RG-01).
    region: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] = "eu"

    api: ApiSettings = ApiSettings()
    login: LoginSettings = LoginSettings()
    identities: IdentitySettings = IdentitySettings()
    mail: MailSettings = MailSettings()
    limits: LimitSettings = LimitSettings()
    prefect: PrefectSettings = PrefectSettings()
    storage: StorageSettings = StorageSettings()
    bot: BotSettings = BotSettings()
    zoom: ZoomSettings = ZoomSettings()
    sandbox: SandboxSettings = SandboxSettings()
    webhooks: WebhookSettings = WebhookSettings()
    transcription: TranscriptionSettings = TranscriptionSettings()
    worker: WorkerSettings = WorkerSettings()
    lifecycle: LifecycleSettings = LifecycleSettings()
    billing: BillingSettings = BillingSettings()
    intake: IntakeSettings = IntakeSettings()
    calendars: CalendarSettings = CalendarSettings()
    logs: LogSettings = LogSettings()

    @field_validator("encryption_keys", "trusted_origins", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return _comma_list(value)

    @field_validator("trusted_origins")
    @classmethod
    def _origins_only(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            _check_origin(origin)
        return value

    @field_validator("jitsi_server_url")
    @classmethod
    def _origin_only(cls, value: str | None) -> str | None:
        if value is not None:
            _check_origin(value)
        return value

    @property
    def work_dir(self) -> Path:
        """Where live meetings journal; one folder per job below it."""
        return self.data_dir / "work"

    @property
    def scratch_dir(self) -> Path:
        """What processes of meetings keep only while they live, such as browser profiles."""
        return self.data_dir / "tmp"

    @property
    def worker_mark(self) -> Path:
        """The file that the worker touches when it takes runs."""
        return self.data_dir / "worker.ready"

    @property
    def watch_mark(self) -> Path:
        """The file that the watcher touches when it has looked at the leases once."""
        return self.data_dir / "watch.ready"

    @property
    def local_storage_root(self) -> Path:
        return self.storage.root or self.data_dir / "storage"
