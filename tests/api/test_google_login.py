"""Login with Google, against a provider on loopback (API-47, AU-14)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from api.app import create_app
from core.database import Database
from core.secrets import SecretBox
from core.settings import ApiSettings, LoginSettings, Settings
from tests.api.conftest import LoggingDispatcher
from tests.api.credentials import log_in
from tests.support.api_server import running_api
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, Provider, running_provider
from tests.support.ports import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as running:
        yield running


@asynccontextmanager
async def browsing(
    settings: Settings, clock: ManualClock, provider: Provider | None
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in front of an API that takes `provider` for Google."""
    port = free_port()
    login = LoginSettings()
    if provider is not None:
        login = LoginSettings(
            google_client_id=CLIENT_ID,
            google_client_secret=SecretStr(CLIENT_SECRET),
            google_issuer=provider.origin,
            google_timeout_seconds=2,
        )
    origin = f"http://127.0.0.1:{port}"
    changed = settings.model_copy(
        update={"login": login, "api": ApiSettings(port=port, public_url=origin)}
    )
    dispatcher = LoggingDispatcher()
    app = create_app(changed, clock=clock, dispatcher=lambda _: dispatcher)
    async with (
        app.router.lifespan_context(app),
        running_api(app, port),
        httpx.AsyncClient(base_url=origin, trust_env=False) as browser,
    ):
        yield browser


async def to_the_provider(browser: httpx.AsyncClient) -> str:
    """Starts a login; the address that the provider sends the browser back to."""
    started = await browser.get("/auth/google/start", params={"next": "/cli-auth?nonce=x"})
    assert started.status_code == 302, started.text
    async with httpx.AsyncClient(trust_env=False) as other:
        return (await other.get(started.headers["location"])).headers["location"]


async def test_google_logs_in_who_it_vouches_for(
    settings: Settings, clock: ManualClock, provider: Provider
) -> None:
    async with browsing(settings, clock, provider) as browser:
        back = await to_the_provider(browser)
        answer = await browser.get(back)
        assert (answer.status_code, answer.headers["location"]) == (302, "/cli-auth?nonce=x")
        who = (await browser.get("/auth/session")).json()
        assert who["user"]["email"] == "ada@example.com"
        assert (who["user"]["name"], who["team"]["name"]) == ("Ada Lovelace", "Ada Lovelace")
        # The code was used, and so was the state.
        assert (await browser.get(back)).status_code == 400


async def test_both_ways_lead_to_one_person(
    settings: Settings,
    clock: ManualClock,
    provider: Provider,
    database: Database,
    box: SecretBox,
) -> None:
    """AU-14: one identity per address."""
    book = await JobBook.open(database, box, clock)
    by_mail = await log_in(book, "ada@example.com")
    async with browsing(settings, clock, provider) as browser:
        await browser.get(await to_the_provider(browser))
        assert (await browser.get("/auth/session")).json()["user"]["id"] == by_mail.user_id


LIES: dict[str, dict[str, Any]] = {
    "another-client": {"aud": "someone.else"},
    "another-issuer": {"iss": "https://evil.example"},
    "another-nonce": {"nonce": "x" * 20},
    "no-nonce": {"nonce": None},
    "too-old": {"exp": 1_700_000_000},
    "not-verified": {"email_verified": False},
    "verified-as-text": {"email_verified": "true"},
    "no-address": {"email": None},
    "no-real-address": {"email": "nonsense"},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_token_that_is_not_for_this_login_is_refused(
    settings: Settings, clock: ManualClock, provider: Provider, lie: dict[str, Any]
) -> None:
    provider.lies = lie
    async with browsing(settings, clock, provider) as browser:
        answer = await browser.get(await to_the_provider(browser))
        assert answer.status_code == 400, answer.text
        assert (await browser.get("/auth/session")).status_code == 401


async def test_a_forged_token_is_refused(
    settings: Settings, clock: ManualClock, provider: Provider
) -> None:
    provider.forged = True
    async with browsing(settings, clock, provider) as browser:
        assert (await browser.get(await to_the_provider(browser))).status_code == 400


async def test_an_answer_is_taken_by_the_browser_that_asked_only(
    settings: Settings, clock: ManualClock, provider: Provider
) -> None:
    """Nobody can be logged in as somebody else by a link that they are given."""
    async with browsing(settings, clock, provider) as browser:
        back = await to_the_provider(browser)
        async with httpx.AsyncClient(trust_env=False) as victim:
            assert (await victim.get(back)).status_code == 400
        refused = await browser.get("/auth/google/callback", params={"error": "access_denied"})
        assert refused.status_code == 400


async def test_without_google_the_answer_says_what_to_do(
    settings: Settings, clock: ManualClock
) -> None:
    async with browsing(settings, clock, None) as browser:
        for path in ("/auth/google/start", "/auth/google/callback"):
            answer = await browser.get(path)
            assert answer.status_code == 503
            assert "MEETBOT_LOGIN__GOOGLE_CLIENT_ID" in answer.json()["message"]
        assert "Google" not in (await browser.get("/login")).text


async def test_a_provider_that_is_away_is_a_503(
    settings: Settings, clock: ManualClock, provider: Provider
) -> None:
    gone = Provider(origin=f"http://127.0.0.1:{free_port()}")
    async with browsing(settings, clock, gone) as browser:
        assert (await browser.get("/auth/google/start")).status_code == 503
