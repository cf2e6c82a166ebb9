"""Whether an account that bots are lent is still signed in: its provider's own page is asked."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from playwright.async_api import Error, Page
from playwright.async_api import TimeoutError as PageTimeout
from pydantic import ValidationError

from bot.browser.guard import EgressGuard
from bot.browser.launch import BrowserOptions, Chromium
from core.errors import BotFault, MeetingError
from core.integrations.state import Provider, StorageState
from core.settings import Settings

log = logging.getLogger(__name__)

PAGE_SECONDS: Final = 30
# A page of an account leads a visitor whom it does not know to a login after a moment.
SETTLE_SECONDS: Final = 4.0
CHECK_SECONDS: Final = 90


class Standing(StrEnum):
    """What the provider's page says. `UNKNOWN` says nothing: it did not answer, or is another."""

    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Probe:
    """A page of an account, and the hosts and paths of those who are to log in."""

    page: str
    logins: tuple[str, ...]
    login_paths: tuple[str, ...] = ()


PROBES: Final[dict[Provider, Probe]] = {
    Provider.GOOGLE: Probe(
        "https://myaccount.google.com/",
        ("accounts.google.com", "www.google.com"),
    ),
    Provider.MICROSOFT: Probe(
        "https://myaccount.microsoft.com/",
        ("login.microsoftonline.com", "login.live.com", "login.microsoft.com"),
    ),
    Provider.WEBEX: Probe(
        "https://web.webex.com/",
        ("idbroker.webex.com", "idbroker-eu.webex.com", "idbroker-b-us.webex.com"),
        ("/sign-in", "/signin"),
    ),
    Provider.ZOOM: Probe("https://zoom.us/profile", (), ("/signin", "/login", "/sso")),
}


@dataclass(frozen=True)
class Check:
    """The verdict, where the page had led (host and path), and what the browser had afterwards."""

    standing: Standing
    led_to: str = ""
    state: StorageState | None = None


async def check_account(settings: Settings, provider: Provider, state: StorageState) -> Check:
    """Open the account's page in a browser of its own, signed in with `state`.

    What fails on the way is `UNKNOWN`: an account is not given up for our network.
    """
    try:
        async with (
            asyncio.timeout(CHECK_SECONDS),
            EgressGuard(()) as guard,
            Chromium(
                settings.bot, BrowserOptions(proxy_url=guard.url, signed_in=state)
            ) as chromium,
        ):
            if settings.bot.unsafe_no_sandbox:
                # As for meetings (design.md D12).
                raise BotFault("The browser runs without its sandbox, so it opens no such page.")
            return await standing_of(await chromium.new_page(), provider)
    except (MeetingError, Error, TimeoutError, OSError) as error:
        log.warning("A %s account was not checked: %s", provider, _reason(error))
        return Check(Standing.UNKNOWN)


async def standing_of(page: Page, provider: Provider) -> Check:
    """What the account's page shows in `page`.

    Raises:
        playwright.async_api.Error: it did not load.
    """
    probe = PROBES[provider]
    answer = await page.goto(probe.page, wait_until="domcontentloaded", timeout=PAGE_SECONDS * 1000)
    if answer is not None and answer.status >= (500 if _wants_login(page.url, probe) else 400):
        # Away, or it takes our visits for too many: that says nothing about the account.
        return Check(Standing.UNKNOWN, _place(page))
    with suppress(PageTimeout):
        await page.wait_for_url(
            lambda url: _wants_login(url, probe),
            wait_until="commit",
            timeout=SETTLE_SECONDS * 1000,
        )
    if _wants_login(page.url, probe):
        return Check(Standing.SIGNED_OUT, _place(page))
    if urlsplit(page.url).hostname != urlsplit(probe.page).hostname:
        return Check(Standing.UNKNOWN, _place(page))
    return Check(Standing.SIGNED_IN, _place(page), await _kept(page))


async def _kept(page: Page) -> StorageState | None:
    """Cookies are renewed by being used: those that the next bot should have."""
    try:
        return StorageState.model_validate(await page.context.storage_state())
    except ValidationError:
        # More than an account's state may have; the one that is there is good.
        return None


def _wants_login(url: str, probe: Probe) -> bool:
    parts = urlsplit(url)
    return parts.hostname in probe.logins or parts.path.startswith(probe.login_paths)


def _place(page: Page) -> str:
    """Without the query, which may hold secrets."""
    parts = urlsplit(page.url)
    return f"{parts.hostname}{parts.path}"[:200]


def _reason(error: BaseException) -> str:
    text = str(error).splitlines()
    return text[0][:200] if text else type(error).__name__
