"""Accounts that bots are lent: what their providers' pages say of them (PL-24).

The browser is real; the pages are those of nobody, at the providers' addresses.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Route

from bot.account_check import PROBES, Check, Standing, standing_of
from bot.browser.signing_in import sign_in
from core.integrations.state import DOMAINS, Provider, StorageState
from tests.support.accounts import signed_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

# Where those who are not known are led.
LOGINS = {
    Provider.GOOGLE: "https://accounts.google.com/v3/signin/identifier?continue=secret",
    Provider.MICROSOFT: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize?state=secret",
    Provider.WEBEX: "https://idbroker.webex.com/idb/oauth2/v1/authorize?state=secret",
    Provider.ZOOM: "https://zoom.us/signin?from=secret",
}
DEAD = "a session that was ended"


async def look(browser: Browser, provider: Provider, value: str, *, after_ms: int = 0) -> Check:
    """Ask a page that knows every session but `DEAD`, and sends that away after a while."""
    wanted = PROBES[provider].page

    async def answer(route: Route) -> None:
        cookies = await route.request.all_headers()
        known = DEAD not in cookies.get("cookie", DEAD)
        here = route.request.url == wanted
        if not here or known:
            renewed = {"set-cookie": "renewed=yes; Secure; Path=/"} if here else {}
            await route.fulfill(status=200, content_type="text/html", body="Hi", headers=renewed)
        else:
            away = f"location.replace('{LOGINS[provider]}')"
            script = f"setTimeout(() => {away}, {after_ms})" if after_ms else away
            body = f"<script>{script}</script>"
            await route.fulfill(status=200, content_type="text/html", body=body)

    context = await browser.new_context()
    try:
        await context.route("**/*", answer)
        # As a browser writes it down: for the host of the page itself, or one above it.
        domain = urlsplit(wanted).hostname or DOMAINS[provider][0]
        await sign_in(context, StorageState.model_validate(signed_in(domain, value)))
        return await standing_of(await context.new_page(), provider)
    finally:
        await context.close()


async def test_a_provider_that_knows_the_account_renews_its_cookies(
    replica_browser: Browser,
) -> None:
    found = await asyncio.gather(*(look(replica_browser, one, "a live one") for one in Provider))
    assert [one.standing for one in found] == [Standing.SIGNED_IN] * len(Provider)
    for one in found:
        assert one.state is not None
        assert {"renewed"} < {cookie.name for cookie in one.state.cookies}


@pytest.mark.parametrize("after_ms", [0, 300])
async def test_a_provider_that_asks_to_log_in_has_ended_the_session(
    replica_browser: Browser, after_ms: int
) -> None:
    """And what is told of it has no secrets."""
    found = await asyncio.gather(
        *(look(replica_browser, one, DEAD, after_ms=after_ms) for one in Provider)
    )
    assert [one.standing for one in found] == [Standing.SIGNED_OUT] * len(Provider)
    assert not [one for one in found if "secret" in one.led_to or one.state is not None]


@pytest.mark.parametrize("status", [503, 429, 403])
async def test_a_provider_that_is_away_says_nothing_of_the_account(
    replica_browser: Browser, status: int
) -> None:
    """PL-24: nor does one that takes our visits for too many; what we have of it stays."""
    context = await replica_browser.new_context()
    try:
        await context.route("**/*", lambda route: route.fulfill(status=status, body="Back soon"))
        found = await standing_of(await context.new_page(), Provider.ZOOM)
    finally:
        await context.close()
    assert found.standing is Standing.UNKNOWN
    assert found.state is None
