"""Settings of the mail intake (docs/intake.md); a part of `core.settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import NoDecode

Port = Annotated[int, Field(ge=0, le=65_535)]
Addresses = Annotated[tuple[str, ...], NoDecode]


class IntakeSettings(BaseModel):
    """Invites by mail: what the API decides by, and how the mail worker gets them.

    The worker receives by SMTP where `smtp_port` is set, and polls by IMAP where `imap_host` is.
    """

    # What the API decides by. `off` believes every From: for closed networks only.
    policy: Literal["aligned", "off"] = "aligned"
    # Senders whose invites are from their ORGANIZER, when their DKIM signature is good.
    calendar_services: Addresses = ("calendar-notification@google.com",)
    # How far ahead occurrences of a series are planned, and single meetings may lie.
    horizon_days: int = Field(default=14, ge=1, le=90)
    # What times without a time zone are in.
    timezone: str = "UTC"
    bot_name: Annotated[str, Field(min_length=1, max_length=64)] = "meetbot"
    # Invites of one team in a minute.
    invites: int = Field(default=60, ge=1)

    # The mail worker. The bot's own addresses: mail to others is not taken.
    addresses: Addresses = ()
    # Where the API is reached; None: where customers do.
    api_url: HttpUrl | None = None
    # Without it the first of MEETBOT_API__INTAKE_TOKENS.
    token: SecretStr | None = None
    most_mib: int = Field(default=10, ge=1, le=50)
    # Mails that wait for the API; more are put off by their senders.
    most_waiting: int = Field(default=10_000, ge=1)
    # Mails from one address of a network in a minute.
    mails: int = Field(default=60, ge=1)
    # Answers to one person in an hour.
    answers: int = Field(default=20, ge=0)

    smtp_host: str = "0.0.0.0"  # noqa: S104 - mail comes from everywhere
    smtp_port: Port | None = None
    # The name in the greeting.
    smtp_name: str = "meetbot"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    require_tls: bool = False

    imap_host: str | None = None
    imap_port: Port = 993
    imap_security: Literal["tls", "starttls", "none"] = "tls"
    imap_user: str = ""
    imap_password: SecretStr | None = None
    imap_folder: str = "INBOX"
    imap_seconds: float = Field(default=30, ge=1)
    # The server's name in its `Authentication-Results`, which are then believed for SPF.
    imap_authserv_id: str | None = None

    @field_validator("calendar_services", "addresses", mode="before")
    @classmethod
    def _split_addresses(cls, value: object) -> object:
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, list | tuple):
            return tuple(part.strip().lower() for part in value if str(part).strip())
        return value

    @property
    def receives(self) -> bool:
        """Whether there is anything for a mail worker to do."""
        return self.smtp_port is not None or self.imap_host is not None
