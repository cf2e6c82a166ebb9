"""Login with Google: OpenID Connect with state, nonce and PKCE; the browser keeps them (API-47)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import Request, Response
from joserfc.errors import JoseError

from core.errors import BadInput, Unavailable
from core.settings import Settings

CALLBACK: Final = "/auth/google/callback"
COOKIE: Final = "meetbot_google"
# How long somebody may take to choose their account.
LIFE_SECONDS: Final = 600
REFUSED: Final = "Google did not confirm this login. Start again."


@dataclass(frozen=True)
class GooglePerson:
    """Whom Google vouches for; the address is verified."""

    email: str
    name: str | None


class GoogleLogin:
    """Google, or whoever speaks as it does under another issuer."""

    def __init__(self, settings: Settings) -> None:
        chosen = settings.login
        self._callback = settings.api.login_url + CALLBACK
        self._client_id = chosen.google_client_id
        self._client: Any = None
        if chosen.google_client_id is None or chosen.google_client_secret is None:
            return
        issuer = chosen.google_issuer.rstrip("/")
        self._client = OAuth().register(
            "google",
            client_id=chosen.google_client_id,
            client_secret=chosen.google_client_secret.get_secret_value(),
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid email profile",
                "code_challenge_method": "S256",
                "timeout": chosen.google_timeout_seconds,
            },
        )

    @property
    def configured(self) -> bool:
        return self._client is not None

    async def start(self, request: Request) -> Response:
        """Send the browser to Google.

        Raises:
            Unavailable: Google is not configured, or does not answer.
        """
        try:
            sent: Response = await self._configured().authorize_redirect(request, self._callback)
        except (httpx2.HTTPError, RuntimeError) as exc:
            raise Unavailable(f"Google did not answer: {exc}") from exc
        return sent

    async def finish(self, request: Request) -> GooglePerson:
        """Whom the browser that comes back is.

        Raises:
            BadInput: not started here, refused, forged, or the address is not verified.
            Unavailable: Google is not configured, or does not answer.
        """
        client = self._configured()
        try:
            # The library looks at the audience only when told to.
            issuer = (await client.load_server_metadata())["issuer"]
            token = await client.authorize_access_token(
                request,
                claims_options={
                    "iss": {"essential": True, "values": [issuer]},
                    "aud": {"essential": True, "value": self._client_id},
                },
            )
        except httpx2.HTTPError as exc:
            raise Unavailable(f"Google did not answer: {exc}") from exc
        except (OAuthError, JoseError, ValueError, KeyError) as exc:
            raise BadInput(REFUSED) from exc
        claims = token.get("userinfo") or {}
        address = claims.get("email")
        if not isinstance(address, str) or claims.get("email_verified") is not True:
            raise BadInput("Google has not verified an e-mail address of this account.")
        name = claims.get("name")
        return GooglePerson(address, name if isinstance(name, str) else None)

    def _configured(self) -> Any:
        if self._client is None:
            raise Unavailable(
                "Login with Google is not set up here: MEETBOT_LOGIN__GOOGLE_CLIENT_ID and "
                "MEETBOT_LOGIN__GOOGLE_CLIENT_SECRET are missing. Use a login link."
            )
        return self._client


def cookie_secret(settings: Settings) -> str:
    """What signs the cookie that carries state, nonce and verifier to Google and back."""
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"meetbot google cookie 1")
    return derived.derive(settings.encryption_keys[0].get_secret_value().encode()).hex()
