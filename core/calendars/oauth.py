"""OAuth 2 as Google and Microsoft have it: consent with PKCE, and tokens (CAL-10, CON-53)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from pydantic import SecretStr

from core.calendars.base import AccessRefused
from core.calendars.grants import Grant
from core.errors import BadInput, Unavailable

# Tokens are renewed so long before they run out.
LEEWAY: Final = timedelta(minutes=2)
DEFAULT_LIFE_SECONDS: Final = 3600
# The answers that no second attempt changes (RFC 6749, 5.2; Microsoft's own for sign-ins).
FINAL: Final = frozenset(
    {
        *("invalid_grant", "access_denied"),
        *("interaction_required", "consent_required", "login_required"),
    }
)
# These are about the client: ours is the operator's to mend, a customer's own is theirs.
OF_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client"})


@dataclass(frozen=True)
class OAuthClient:
    """This deployment at one provider.

    Args:
        settings: what to set where it is not set up, for the error that says so.
        extra: what the provider wants to be told besides when it asks a person.
    """

    who: str
    client_id: str | None
    client_secret: SecretStr | None
    authorize_url: str
    token_url: str
    scope: str
    redirect_uri: str
    settings: str
    timeout_seconds: float
    extra: Mapping[str, str] = field(default_factory=dict)

    def consent_url(self, state: str, verifier: str) -> str:
        """Where to send a person who is to connect their calendar.

        Raises:
            BadInput: the provider is not set up here; the message says what to set.
        """
        url, _ = self._client(Grant()).create_authorization_url(
            self.authorize_url, state=state, code_verifier=verifier, **self.extra
        )
        return str(url)

    async def exchange(self, code: str, verifier: str, now: datetime) -> Grant:
        """The grant that a person gave.

        Raises:
            AccessRefused: the code is none, or no refresh token came with it.
            Unavailable: no proper answer.
        """
        async with self._client(Grant()) as client:
            token = await self._asked(
                client.fetch_token(
                    self.token_url,
                    code=code,
                    code_verifier=verifier,
                    grant_type="authorization_code",
                ),
                FINAL,
            )
        if not token.get("refresh_token"):
            raise AccessRefused(
                f"{self.who} gave access for an hour only. Take meetbot off the account's "
                "connected apps there, and connect it again."
            )
        return _granted(Grant(), token, now)

    async def fresh(self, grant: Grant, now: datetime) -> Grant:
        """`grant` with an access token that is good for a while; the same where it has one.

        Raises:
            AccessRefused: it is revoked.
            Unavailable: no proper answer.
        """
        good = grant.access_token is not None and grant.expires_at is not None
        if good and grant.expires_at is not None and grant.expires_at - LEEWAY > now:
            return grant
        if grant.refresh_token is None:
            raise AccessRefused("There is no refresh token; connect the calendar again.")
        async with self._client(grant) as client:
            # Without a scope it is the one that was granted, which a customer may have chosen.
            token = await self._asked(
                client.refresh_token(
                    self.token_url,
                    refresh_token=grant.refresh_token.get_secret_value(),
                    scope=None,
                ),
                FINAL | OF_CLIENT if grant.client_id is not None else FINAL,
            )
        return _granted(grant, token, now)

    async def _asked(self, asking: Any, final: frozenset[str]) -> Mapping[str, Any]:
        try:
            token: Mapping[str, Any] = await asking
        except OAuthError as error:
            if error.error in final:
                raise AccessRefused(
                    f"{self.who} does not honour the grant any more ({error.error}); "
                    "connect the calendar again."
                ) from error
            raise Unavailable(f"{self.who} gave no token: {error.error}.") from error
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"{self.who} gave no token: {type(error).__name__}.") from error
        if not isinstance(token.get("access_token"), str):
            raise Unavailable(f"{self.who} gave no token.")
        return token

    def _client(self, grant: Grant) -> Any:
        client_id, secret = self.client_id, self.client_secret
        if grant.client_id is not None:
            client_id, secret = grant.client_id, grant.client_secret
        elif client_id is None or secret is None:
            raise BadInput(
                f"Calendars at {self.who} are not set up here: set {self.settings}_CLIENT_ID and "
                f"{self.settings}_CLIENT_SECRET."
            )
        return AsyncOAuth2Client(
            client_id=client_id,
            client_secret=secret.get_secret_value() if secret is not None else None,
            token_endpoint_auth_method="client_secret_post" if secret else "none",
            scope=self.scope,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            timeout=self.timeout_seconds,
            trust_env=False,
            follow_redirects=False,
        )


def _granted(before: Grant, token: Mapping[str, Any], now: datetime) -> Grant:
    """Refresh tokens may be exchanged with every use: the newest counts."""
    try:
        life = float(token.get("expires_in") or DEFAULT_LIFE_SECONDS)
    except (TypeError, ValueError):
        life = DEFAULT_LIFE_SECONDS
    refresh = token.get("refresh_token")
    changes: dict[str, Any] = {
        "access_token": SecretStr(token["access_token"]),
        "expires_at": now + timedelta(seconds=life),
    }
    if isinstance(refresh, str) and refresh:
        changes["refresh_token"] = SecretStr(refresh)
    return before.model_copy(update=changes)
