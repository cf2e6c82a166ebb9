"""An OpenID provider on loopback that checks what a client must send, and lies as it is told."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.support.api_server import running_api

CLIENT_ID: Final = "meetbot.apps.example"
CLIENT_SECRET: Final = "a client's secret"
# Making one takes longer than a whole login.
KEY: Final = RSAKey.generate_key(2048, {"kid": "one"})
FORGERS_KEY: Final = RSAKey.generate_key(2048, {"kid": "one"})


@dataclass
class Provider:
    """One account, `claims`; `lies` replace claims of the next tokens."""

    origin: str = ""
    claims: dict[str, Any] = field(
        default_factory=lambda: {
            "sub": "1093",
            "email": "Ada@Example.com",
            "email_verified": True,
            "name": "Ada Lovelace",
        }
    )
    lies: dict[str, Any] = field(default_factory=dict)
    forged: bool = False
    # What clients asked for, by code.
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: KEY)

    def token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.origin,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            **self.claims,
            **self.lies,
        }
        key = FORGERS_KEY if self.forged else self.key
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)


@asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    provider = Provider()
    async with running_api(_app(provider)) as origin:
        provider.origin = origin
        yield provider


def _app(provider: Provider) -> FastAPI:
    app = FastAPI()

    @app.get("/.well-known/openid-configuration")
    async def discovery() -> dict[str, Any]:
        return {
            "issuer": provider.origin,
            "authorization_endpoint": f"{provider.origin}/authorize",
            "token_endpoint": f"{provider.origin}/token",
            "jwks_uri": f"{provider.origin}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    @app.get("/keys")
    async def keys() -> Any:
        return KeySet([provider.key]).as_dict(private=False)

    @app.get("/authorize")
    async def authorize(request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert {"openid", "email"} <= set(asked["scope"].split())
        assert len(asked["state"]) >= 16
        assert len(asked["nonce"]) >= 16
        code = secrets.token_urlsafe(16)
        provider.asked[code] = asked
        back = f"{asked['redirect_uri']}?code={code}&state={asked['state']}"
        return RedirectResponse(back, 302)

    @app.post("/token")
    async def token(request: Request) -> Any:
        form = await request.form()
        asked = provider.asked.pop(str(form.get("code")), None)
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        by_header = request.headers.get("authorization") == f"Basic {basic}"
        digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or not by_header
            or challenge != asked["code_challenge"]
            or form.get("redirect_uri") != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": provider.token(asked["nonce"]),
        }

    return app
