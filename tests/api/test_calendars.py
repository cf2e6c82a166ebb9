"""Connecting calendars over the API, and what becomes of connections (API-37 to API-40, CAL-10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlmodel import select

from core.calendars.channels import token_hash
from core.calendars.models import CalendarChannel, CalendarConnection, CalendarEvent, State
from core.calendars.syncing import Outcome, Synced, Syncer
from core.database import Database
from core.jobs.models import Job
from core.secrets import SecretBox
from core.settings import ApiSettings, Settings
from tests.api.conftest import Api, api_with
from tests.api.credentials import log_in
from tests.support.calendars.diary import CUSTOMER, ME, Entry
from tests.support.calendars.feed import Feed, running_feed
from tests.support.calendars.google import running_google
from tests.support.calendars.microsoft import running_graph
from tests.support.calendars.server import CLIENT_ID, CLIENT_SECRET, CalendarServer
from tests.support.calendars.team import calendar_settings
from tests.support.clock import START, ManualClock

pytestmark = pytest.mark.integration
BASE = "/api/v1/calendar"
TOMORROW = START + timedelta(days=1)


@dataclass
class Desk:
    """An API whose providers are on loopback."""

    api: Api
    google: CalendarServer
    graph: CalendarServer
    feed: Feed

    async def post(self, path: str, status: int = 201, **body: Any) -> dict[str, Any]:
        answer = await self.api.live.post(f"{BASE}{path}", json=body)
        assert answer.status_code == status, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def consent(self, url: str) -> str:
        """What the person's browser is sent back to, as a path of ours."""
        async with httpx.AsyncClient(trust_env=False) as browser:
            answer = await browser.get(url)
        back = urlsplit(answer.headers["location"])
        return f"{back.path}?{back.query}"

    async def sync(self, connection_id: str) -> Synced:
        services = self.api.app.state.services
        return await Syncer(
            services.database,
            services.box,
            services.settings,
            services.clock,
            services.calendars,
        ).sync(connection_id)

    async def row(self, connection_id: str) -> CalendarConnection | None:
        async with self.api.book.database.begin() as session:
            return await session.get(CalendarConnection, connection_id)


@pytest.fixture
async def desk(
    settings: Settings,
    database: Database,
    box: SecretBox,
    clock: ManualClock,
    trusted_port: int,
) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        google = await stack.enter_async_context(running_google(clock))
        graph = await stack.enter_async_context(running_graph(clock))
        feed = await stack.enter_async_context(running_feed(trusted_port))
        chosen = settings.model_copy(
            update={
                "calendars": calendar_settings(google, graph),
                "api": ApiSettings(public_url="https://api.example"),
            }
        )
        api = await stack.enter_async_context(api_with(chosen, database, box, clock))
        yield Desk(api, google, graph, feed)


@pytest.mark.parametrize("provider", ["google", "outlook"])
async def test_a_person_connects_a_calendar_by_consent(desk: Desk, provider: str) -> None:
    begun = await desk.post("/connect", provider=provider, returnTo="/account/calendar?tab=1")
    asked = parse_qs(urlsplit(begun["authorizeUrl"]).query)
    kind = "microsoft" if provider == "outlook" else "google"
    assert asked["redirect_uri"] == [f"https://api.example{BASE}/callback/{kind}"]
    assert asked["code_challenge_method"] == ["S256"]
    assert begun["expiresAt"] == "2026-05-09T14:15:00.000Z"
    back = await desk.consent(begun["authorizeUrl"])
    answer = await desk.api.anonymous.get(back)
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        f"https://api.example/account/calendar?tab=1&calendar={begun['connectionId']}",
    )
    shown = (await desk.api.live.get(f"{BASE}/connections/{begun['connectionId']}")).json()
    assert (shown["provider"], shown["account"], shown["status"]) == (kind, ME, "active")
    # `state` is good once.
    assert (await desk.api.anonymous.get(back)).status_code == 410
    page = await desk.api.anonymous.get(back, headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"][:9]) == (410, "text/html")
    assert (await desk.sync(begun["connectionId"])).outcome is Outcome.DONE


async def test_a_state_is_of_one_provider_for_a_quarter_of_an_hour(
    desk: Desk, clock: ManualClock
) -> None:
    begun = await desk.post("/connect", provider="google")
    state = parse_qs(urlsplit(begun["authorizeUrl"]).query)["state"][0]
    for path, status in (
        (f"/callback/microsoft?state={state}&code=x", 400),
        ("/callback/google?state=nonsense&code=x", 400),
        ("/callback/google?code=x", 400),
        ("/callback/ics?state=x", 400),
    ):
        assert (await desk.api.anonymous.get(f"{BASE}{path}")).status_code == status
    clock.advance(901)
    answer = await desk.api.anonymous.get(f"{BASE}/callback/google?state={state}&code=x")
    assert answer.status_code == 410
    # Whoever refuses goes back to where they came from.
    state = parse_qs(
        urlsplit((await desk.post("/connect", provider="google"))["authorizeUrl"]).query
    )["state"][0]
    refused = await desk.api.anonymous.get(
        f"{BASE}/callback/google?state={state}&error=access_denied"
    )
    assert refused.headers["location"].endswith("/account/calendar?calendarError=access_denied")


@pytest.mark.parametrize("landing", ["https://evil.example/", "//evil.example", "\\\\evil"])
async def test_nobody_is_sent_to_another_site(desk: Desk, landing: str) -> None:
    begun = await desk.post("/connect", provider="google", returnTo=landing)
    answer = await desk.api.anonymous.get(await desk.consent(begun["authorizeUrl"]))
    assert answer.headers["location"].startswith("https://api.example/")
    assert "evil" not in answer.headers["location"]


async def test_a_grant_that_is_handed_over_is_used_and_never_shown(desk: Desk) -> None:
    """API-39, CV-15: also one that was given to a customer's own client."""
    token = desk.google.grant()
    for own in ({}, {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}):
        answer = await desk.api.live.post(
            f"{BASE}/grants", json={"provider": "google", "refreshToken": token} | own
        )
        assert answer.status_code == 201, answer.text
        for secret in (token, CLIENT_SECRET, "access-"):
            assert secret not in answer.text
    made = answer.json()
    listed = (await desk.api.live.get(f"{BASE}/connections")).json()
    # The same calendar of the same person is one connection.
    assert [one["id"] for one in listed["data"]] == [made["id"]]
    assert (await desk.sync(made["id"])).outcome is Outcome.DONE
    row = await desk.row(made["id"])
    assert row is not None
    assert row.grant is not None
    assert token not in row.grant
    assert (await desk.api.test.get(f"{BASE}/connections")).json()["data"] == []


async def test_a_feed_is_a_calendar_under_the_rules_for_addresses(desk: Desk) -> None:
    made = await desk.post("/grants", provider="ics", url=desk.feed.url, account=ME)
    assert (made["provider"], made["account"]) == ("ics", ME)
    for url in ("https://169.254.169.254/x.ics", "http://feeds.example/x.ics", "nonsense"):
        answer = await desk.api.live.post(f"{BASE}/grants", json={"provider": "ics", "url": url})
        assert answer.status_code == 400, url
        assert answer.json()["issues"][0]["path"] == ["url"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/connect", {"provider": "ics"}, "provider"),
        ("/connect", {}, "provider"),
        ("/grants", {"provider": "google"}, None),
        ("/grants", {"provider": "ics", "refreshToken": "x"}, None),
        ("/grants", {"provider": "google", "refreshToken": "x", "clientId": "y"}, None),
        ("/grants", {"provider": "google", "refreshToken": "none"}, "refreshToken"),
    ],
)
async def test_what_cannot_be_connected_is_said(
    desk: Desk, path: str, body: dict[str, Any], field: str | None
) -> None:
    answer = await desk.api.live.post(f"{BASE}{path}", json=body)
    assert answer.status_code == 400, answer.text
    found = answer.json()["issues"][0]["path"]
    assert found == ([field] if field else [])


async def test_a_provider_that_is_not_set_up_says_what_to_set(api: Api) -> None:
    for path, body in (
        ("/connect", {"provider": "microsoft"}),
        ("/grants", {"provider": "microsoft", "refreshToken": "x"}),
    ):
        answer = await api.live.post(f"{BASE}{path}", json=body)
        assert answer.status_code == 400
        assert "MEETBOT_CALENDARS__MICROSOFT_CLIENT_ID" in answer.json()["message"]


async def test_a_login_connects_and_disconnects_as_a_key_does(desk: Desk) -> None:
    person = await log_in(desk.api.book, "ada@example.com")
    answer = await desk.api.anonymous.post(
        f"{BASE}/connect", json={"provider": "google"}, headers=person.headers
    )
    await desk.api.anonymous.get(await desk.consent(answer.json()["authorizeUrl"]))
    listed = await desk.api.anonymous.get(f"{BASE}/connections", headers=person.headers)
    (shown,) = listed.json()["data"]
    path = f"{BASE}/connections/{shown['id']}"
    assert (await desk.api.anonymous.delete(path, headers=person.headers)).status_code == 204
    assert (await desk.api.anonymous.get(path, headers=person.headers)).status_code == 404
    # A refresh token is handed over by programs only.
    refused = await desk.api.anonymous.post(
        f"{BASE}/grants", json={"provider": "google", "refreshToken": "x"}, headers=person.headers
    )
    assert refused.status_code == 401


async def test_deleting_a_connection_calls_its_bots_off_and_tells_the_provider(desk: Desk) -> None:
    """API-40; the row is gone when Google was told."""
    desk.google.diary.put(Entry("a", TOMORROW, people=(ME, CUSTOMER)))
    made = await desk.post("/grants", provider="google", refreshToken=desk.google.grant())
    await desk.post("/rules", action="record")
    synced = await desk.sync(made["id"])
    (job,) = synced.placed.created
    assert len(desk.google.channels) == 1
    path = f"{BASE}/connections/{made['id']}"
    assert (await desk.api.live.delete(path)).status_code == 204
    assert (await desk.api.live.delete(path)).status_code == 404
    async with desk.api.book.database.begin() as session:
        assert (await session.get_one(Job, job.id)).status == "cancelled"
        assert (await session.exec(select(CalendarEvent))).all() == []
    row = await desk.row(made["id"])
    assert row is not None
    assert row.state is State.DISCONNECTED
    assert (await desk.sync(made["id"])).outcome is Outcome.GONE
    assert desk.google.channels == {}
    assert await desk.row(made["id"]) is None


async def test_a_sync_is_asked_for_by_people_and_by_providers(
    desk: Desk, clock: ManualClock
) -> None:
    made = await desk.post("/grants", provider="google", refreshToken=desk.google.grant())
    await desk.sync(made["id"])
    told = await desk.post(f"/connections/{made['id']}/sync", 202)
    assert told == {"connectionId": made["id"], "requestedAt": "2026-05-09T14:00:00.000Z"}
    await desk.sync(made["id"])
    row = await desk.row(made["id"])
    assert row is not None
    assert row.asked_at is None
    (channel,) = desk.google.channels.values()
    assert channel["address"].startswith(f"https://api.example{BASE}/push/google")
    headers = {"X-Goog-Channel-ID": channel["id"], "X-Goog-Channel-Token": channel["token"]}
    for changed, status in (
        ({}, 204),
        ({"X-Goog-Channel-Token": "forged"}, 404),
        ({"X-Goog-Channel-ID": "unknown"}, 404),
    ):
        answer = await desk.api.anonymous.post(f"{BASE}/push/google", headers=headers | changed)
        assert answer.status_code == status
    row = await desk.row(made["id"])
    assert row is not None
    assert row.asked_at == clock.now()


async def test_microsoft_is_answered_as_its_subscriptions_want_it(desk: Desk) -> None:
    made = await desk.post("/grants", provider="microsoft", refreshToken=desk.graph.grant())
    await desk.sync(made["id"])
    (subscription,) = desk.graph.channels.values()
    address = urlsplit(subscription["notificationUrl"])
    path = f"{address.path}?{address.query}"
    valid = await desk.api.anonymous.post(f"{path}&validationToken=Validation%3A%20%3Cb%3E")
    assert (valid.status_code, valid.text) == (200, "Validation: <b>")
    assert valid.headers["content-type"].startswith("text/plain")
    for word, asked in (("forged", False), (subscription["clientState"], True)):
        notice = {"subscriptionId": subscription["id"], "clientState": word}
        body = {"value": [notice | {"changeType": "updated"}]}
        answer = await desk.api.anonymous.post(path, json=body)
        assert answer.status_code == 202
        row = await desk.row(made["id"])
        assert row is not None
        assert (row.asked_at is not None) is asked


async def test_channels_are_renewed_before_they_end(desk: Desk, clock: ManualClock) -> None:
    made = await desk.post("/grants", provider="microsoft", refreshToken=desk.graph.grant())
    await desk.sync(made["id"])
    (first,) = desk.graph.channels
    await desk.sync(made["id"])
    assert list(desk.graph.channels) == [first]
    clock.advance(timedelta(days=2).total_seconds())
    await desk.sync(made["id"])
    (second,) = desk.graph.channels.values()
    assert second["id"] != first
    async with desk.api.book.database.begin() as session:
        (kept,) = (await session.exec(select(CalendarChannel))).all()
    assert (kept.resource_id, kept.token_hash) == (
        second["id"],
        token_hash(second["clientState"]),
    )
