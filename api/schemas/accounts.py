"""Shapes of logins, keys and who one is (API-29 to 31, API-47, API-77, API-79, API-80)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas.wire import Printable, Request, Response

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


class Ok(Response):
    ok: Literal[True] = True
