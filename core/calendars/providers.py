"""The providers of this deployment, by name."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from pydantic import SecretStr

from core.calendars import google, microsoft
from core.calendars.base import AccessRefused, CalendarProvider, Watching
from core.calendars.google import GoogleCalendar
from core.calendars.http import JsonClient
from core.calendars.ics import IcsFeed
from core.calendars.microsoft import MicrosoftCalendar
from core.calendars.models import CalendarService
from core.calendars.oauth import OAuthClient
from core.clock import Clock
from core.network.addresses import Resolve, resolve
from core.settings import Settings

CALLBACK: Final = "/api/v1/calendar/callback/{provider}"


class Providers:
    """Open it for as long as it is used; it keeps connections to Google and Microsoft."""

    def __init__(self, settings: Settings, clock: Clock, *, resolver: Resolve = resolve) -> None:
        chosen = settings.calendars
        self._stack = AsyncExitStack()
        self._clients = {
            who: JsonClient(who, timeout_seconds=chosen.timeout_seconds, clock=clock)
            for who in ("Google", "Microsoft")
        }
        self._google = GoogleCalendar(self._clients["Google"], chosen.google_api, clock)
        self._microsoft = MicrosoftCalendar(self._clients["Microsoft"], chosen.microsoft_api, clock)
        self._ics = IcsFeed(
            timeout_seconds=chosen.timeout_seconds,
            trusted_origins=settings.trusted_origins,
            zone=settings.intake.timezone,
            resolver=resolver,
        )
        self._oauth = _oauth(settings)

    async def __aenter__(self) -> Self:
        for client in self._clients.values():
            await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def calendar(self, provider: CalendarService) -> CalendarProvider:
        """What reads calendars of `provider`."""
        of: dict[CalendarService, CalendarProvider] = {
            CalendarService.GOOGLE: self._google,
            CalendarService.MICROSOFT: self._microsoft,
            CalendarService.ICS: self._ics,
        }
        return of[provider]

    def watching(self, provider: CalendarService) -> Watching | None:
        """What has `provider` tell of changes; None for feeds."""
        of: dict[CalendarService, Watching] = {
            CalendarService.GOOGLE: self._google,
            CalendarService.MICROSOFT: self._microsoft,
        }
        return of.get(provider)

    def oauth(self, provider: CalendarService) -> OAuthClient | None:
        """Us at `provider`; None for feeds."""
        return self._oauth.get(provider)

    async def account(self, provider: CalendarService, token: SecretStr | None) -> str | None:
        """The address of the person whose grant `token` is of.

        Raises:
            AccessRefused, Throttled, Unavailable: as `CalendarProvider.changes`.
        """
        if token is None:
            raise AccessRefused("There is no access token.")
        reader = self._google if provider is CalendarService.GOOGLE else self._microsoft
        return await reader.account(token)


def _oauth(settings: Settings) -> dict[CalendarService, OAuthClient]:
    chosen, base = settings.calendars, settings.api.public_url.rstrip("/")
    authority = chosen.microsoft_authority.rstrip("/")
    return {
        CalendarService.GOOGLE: OAuthClient(
            who="Google",
            client_id=chosen.google_client_id,
            client_secret=chosen.google_client_secret,
            authorize_url=chosen.google_authorize_url,
            token_url=chosen.google_token_url,
            scope=google.SCOPE,
            redirect_uri=base + CALLBACK.format(provider="google"),
            settings="MEETBOT_CALENDARS__GOOGLE",
            timeout_seconds=chosen.timeout_seconds,
            extra=google.CONSENT,
        ),
        CalendarService.MICROSOFT: OAuthClient(
            who="Microsoft",
            client_id=chosen.microsoft_client_id,
            client_secret=chosen.microsoft_client_secret,
            authorize_url=f"{authority}/authorize",
            token_url=f"{authority}/token",
            scope=microsoft.SCOPE,
            redirect_uri=base + CALLBACK.format(provider="microsoft"),
            settings="MEETBOT_CALENDARS__MICROSOFT",
            timeout_seconds=chosen.timeout_seconds,
            extra=microsoft.CONSENT,
        ),
    }
