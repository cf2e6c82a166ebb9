"""Shapes of logins, keys and who one is (API-29 to 31, API-47, API-77, API-79, API-80)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, StringConstraints

from api.schemas.wire import MomentOut, Printable, Request, Response, Thousandths
from core.accounts.models import ApiKey

ClientText = Annotated[
    Printable, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)
]
Mode = Literal["live", "test"]


class MagicLinkIn(Request):
    email: Annotated[str, Field(min_length=1, max_length=320)]
    next: Annotated[
        str | None, Field(max_length=500, description="A path of ours to go to after the login.")
    ] = None


class MagicLinkOut(Response):
    """The same whether somebody has that address or not (AU-15)."""

    accepted: Literal[True] = True


class UserOut(Response):
    id: str
    email: str
    name: str | None


class TeamOut(Response):
    id: str
    name: str


class SessionOut(Response):
    user: UserOut
    team: TeamOut
    csrf_token: Annotated[
        str, Field(description="Send it as `x-csrf-token` with what changes something.")
    ]


class CliInitIn(Request):
    client_name: ClientText | None = None
    hostname: ClientText | None = None


class CliInitOut(Response):
    nonce: str
    login_url: str
    expires_in: int
    interval: int


class CliPending(Response):
    status: Literal["pending", "denied"]


class CliComplete(Response):
    """Given once; the key is never to be had again."""

    status: Literal["complete"] = "complete"
    token: str
    key_id: str
    team: TeamOut


class CliCompleteIn(Request):
    nonce: Annotated[str, Field(min_length=1, max_length=100)]
    approve: bool


class KeyIn(Request):
    name: ClientText
    mode: Mode


class KeyOut(Response):
    """A key by what it is recognised by; the key itself is in `NewKeyOut` only."""

    id: str
    name: str
    prefix: str
    mode: Mode
    created_at: MomentOut
    last_used_at: MomentOut | None
    revoked_at: MomentOut | None

    @classmethod
    def of(cls, row: ApiKey) -> Self:
        return cls(**_shown(row))


class NewKeyOut(KeyOut):
    """Shown once (AU-03)."""

    key: str

    @classmethod
    def made(cls, row: ApiKey, key: SecretStr) -> Self:
        return cls(**_shown(row), key=key.get_secret_value())


class KeysPage(Response):
    data: list[KeyOut]
    next_cursor: str | None


class WebhookSecretOut(Response):
    """What receivers verify signatures with; until `previousValidUntil` there are two."""

    secret: str
    previous_valid_until: MomentOut | None


class ConsumerStorage(Response):
    bucket: str | None
    configured: bool


class ConsumerTranscription(Response):
    mode: Literal["off", "byok", "addon"]
    provider: str | None


class ConsumerOut(Response):
    """Whom a key speaks for."""

    id: str
    name: str
    email: str | None
    mode: Mode
    key_id: str
    key_prefix: str
    region: str
    credit_remaining_usd: Thousandths
    has_payment_method: bool
    storage: ConsumerStorage
    transcription: ConsumerTranscription
    created_at: MomentOut


def _shown(row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "prefix": row.prefix,
        "mode": "live" if row.livemode else "test",
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
        "revoked_at": row.revoked_at,
    }


class Ok(Response):
    ok: Literal[True] = True
