"""One good credential of every scheme, and requests that carry it (AU-07)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx
from pydantic import SecretStr

from api.schemes import SESSION_COOKIE
from core.accounts.people import sign_in
from core.accounts.sessions import csrf_token, open_session
from core.jobs.bot_tokens import mint_bot_token
from tests.api.conftest import Api, key_of
from tests.support.jobs import JobBook

SCHEMES: Final = ("key", "session", "ingest", "intake", "admin", "stripe")
ADMIN_TOKEN: Final = "an operator's secret"
INTAKE_TOKEN: Final = "a mail worker's secret"


@dataclass(frozen=True)
class Credential:
    """What a request has to carry."""

    headers: Mapping[str, str]


async def credential(api: Api, scheme: str) -> Credential:
    """A good one of `scheme`, of the team of `api.book`."""
    match scheme:
        case "key":
            return _bearer(await key_of(api.book, livemode=True))
        case "session":
            return (await log_in(api.book, "ada@example.com")).credential
        case "ingest":
            job = await api.live_job()
            keys = api.app.state.services.settings.encryption_keys
            return _bearer(mint_bot_token(keys, job.id, job.fence).get_secret_value())
        case "intake":
            return _bearer(INTAKE_TOKEN)
        case "admin":
            return _bearer(ADMIN_TOKEN)
        case "stripe":
            return Credential({"stripe-signature": "t=1778335200,v1=" + 64 * "0"})
    raise ValueError(scheme)


@dataclass(frozen=True)
class LoggedIn:
    """A browser with a login."""

    token: SecretStr
    user_id: str
    team_id: str

    @property
    def credential(self) -> Credential:
        token = self.token.get_secret_value()
        return Credential(
            {"cookie": f"{SESSION_COOKIE}={token}", "x-csrf-token": csrf_token(token)}
        )

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.credential.headers)


async def log_in(book: JobBook, address: str) -> LoggedIn:
    """A login as the one that a magic link or Google leads to."""
    async with book.database.begin() as session:
        user, team = await sign_in(session, book.box, address, now=book.now)
        token = await open_session(session, user, team, life=timedelta(days=1), now=book.now)
    return LoggedIn(token, user.id, team.id)


async def ask(
    api: Api, method: str, path: str, credential: Credential, **more: Any
) -> httpx.Response:
    return await api.anonymous.request(method, path, headers=dict(credential.headers), **more)


def _bearer(token: str) -> Credential:
    return Credential({"authorization": f"Bearer {token}"})
