"""Settings of connected calendars (docs/calendars.md); a part of `core.settings`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr


class CalendarSettings(BaseModel):
    """The OAuth clients of this deployment at Google and Microsoft, and how events are synced.

    A provider without a client id is not offered: feeds by URL, and grants that bring a client of
    their own, work all the same.
    """

    google_client_id: str | None = None
    google_client_secret: SecretStr | None = None
    google_authorize_url: str = "https://accounts.google.com/o/oauth2/v2/auth"
    google_token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    google_api: str = "https://www.googleapis.com/calendar/v3"
    microsoft_client_id: str | None = None
    microsoft_client_secret: SecretStr | None = None
    microsoft_authority: str = "https://login.microsoftonline.com/common/oauth2/v2.0"
    microsoft_api: str = "https://graph.microsoft.com/v1.0"
    # For one request to a provider, and for one feed.
    timeout_seconds: Annotated[float, Field(gt=0)] = 10
    # Calendars that one run syncs at once; each holds two connections to the database.
    at_once: Annotated[int, Field(ge=1, le=4)] = 4
    # Whether providers are asked to tell of changes; they only tell an https address.
    push: bool = True
