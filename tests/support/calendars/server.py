"""What both providers' servers share: OAuth with PKCE, tokens that run out, faults on demand."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from core.clock import Clock
from tests.support.calendars.diary import Diary

CLIENT_ID: Final = "meetbot.calendars.example"
CLIENT_SECRET: Final = "a calendar client's secret"


@dataclass
class Consent:
    """What a client asked a person for."""

    asked: dict[str, str]


@dataclass
class CalendarServer:
    """One account and its calendar.

    Args:
        rotates: whether a refresh token is good once, and another comes with every use.
        faults: answers to the next requests for events, in the place of the right ones.
    """

    clock: Clock
    rotates: bool = False
    diary: Diary = field(default_factory=Diary)
    origin: str = ""
    page: int = 100
    revoked: bool = False
    faults: deque[Response] = field(default_factory=deque)
    consents: dict[str, Consent] = field(default_factory=dict)
    refresh_tokens: set[str] = field(default_factory=set)
    access_tokens: dict[str, datetime] = field(default_factory=dict)
    # Requests for events: the parameters of each.
    requests: list[dict[str, str]] = field(default_factory=list)
    # Changes at a time; cursors from before it are forgotten.
    forgotten_before: int = 0
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    refreshes: int = 0
    # What happens before a token is given out.
    before_token: Callable[[], Awaitable[None]] | None = None

    def grant(self) -> str:
        """A refresh token that the person gave."""
        token = f"refresh-{secrets.token_urlsafe(16)}"
        self.refresh_tokens.add(token)
        return token

    def forget_cursors(self) -> None:
        self.forgotten_before = self.diary.version + 1
        self.diary.version += 1

    def expire_tokens(self) -> None:
        """Access tokens end before their time."""
        self.access_tokens.clear()

    def allows(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self.access_tokens.get(token)
        return (
            scheme == "Bearer"
            and not self.revoked
            and until is not None
            and until > self.clock.now()
        )


def oauth(app: FastAPI, server: CalendarServer, scope: set[str]) -> None:
    """The pages and the endpoint for tokens."""

    @app.get("/authorize")
    async def authorize(request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert scope <= set(asked["scope"].split())
        assert len(asked["state"]) >= 32
        code = secrets.token_urlsafe(16)
        server.consents[code] = Consent(asked)
        back = f"{asked['redirect_uri']}?code={code}&state={asked['state']}"
        return RedirectResponse(back, 302)

    @app.post("/token")
    async def token(request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        if server.before_token is not None:
            await server.before_token()
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return JSONResponse({"error": "invalid_client"}, 401)
        match form.get("grant_type"):
            case "authorization_code":
                good = _exchanged(server, form)
            case "refresh_token":
                server.refreshes += 1
                good = form.get("refresh_token") in server.refresh_tokens
            case _:
                return JSONResponse({"error": "unsupported_grant_type"}, 400)
        if not good or server.revoked:
            return JSONResponse({"error": "invalid_grant", "error_description": "Revoked."}, 400)
        return JSONResponse(_tokens(server, form))


def _exchanged(server: CalendarServer, form: dict[str, str]) -> bool:
    consent = server.consents.pop(form.get("code", ""), None)
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return (
        consent is not None
        and challenge == consent.asked["code_challenge"]
        and form.get("redirect_uri") == consent.asked["redirect_uri"]
    )


def _tokens(server: CalendarServer, form: dict[str, str]) -> dict[str, Any]:
    access = f"access-{secrets.token_urlsafe(16)}"
    server.access_tokens[access] = server.clock.now() + timedelta(hours=1)
    answer: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": 3599}
    if form["grant_type"] == "authorization_code" or server.rotates:
        server.refresh_tokens.discard(form.get("refresh_token", ""))
        answer["refresh_token"] = server.grant()
    return answer
