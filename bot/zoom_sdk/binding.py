"""The `zoom-meeting-sdk` package, imported when a bot needs it, and whether it can be used."""

from __future__ import annotations

import importlib
import importlib.util
from datetime import timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import OctKey

from core.clock import Clock
from core.platforms.zoom_settings import ZoomSettings

PACKAGE: Final = "zoom_meeting_sdk"
# Of the token that the SDK signs in with; a meeting may last longer than it.
TOKEN_LIFETIME: Final = timedelta(hours=24)


def why_not(settings: ZoomSettings) -> str | None:
    """What keeps bots from using the SDK here; None when nothing does."""
    if importlib.util.find_spec(PACKAGE) is None:
        return "the package is not installed; pip install 'meetbot[zoom-sdk]' gets it"
    if not settings.client_id or settings.client_secret is None:
        return "MEETBOT_ZOOM__CLIENT_ID and MEETBOT_ZOOM__CLIENT_SECRET are not set"
    return None


def load() -> Any:
    """The package: Zoom's names, as its C++ headers have them."""
    return importlib.import_module(PACKAGE)


def token(settings: ZoomSettings, clock: Clock) -> str:
    """The JWT that the SDK signs in with as the app."""
    assert settings.client_secret is not None  # noqa: S101 - `why_not` was asked
    now = clock.now()
    ends = int((now + TOKEN_LIFETIME).timestamp())
    claims = {
        "appKey": settings.client_id,
        "iat": int(now.timestamp()),
        "exp": ends,
        "tokenExp": ends,
    }
    key = OctKey.import_key(settings.client_secret.get_secret_value())
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, key)
