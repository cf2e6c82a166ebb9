"""Keys, the webhook secret, and whom a key speaks for (API-29 to 31, AU-10, AU-18, WH-31)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from core.accounts.models import Team
from core.accounts.service import webhook_secrets
from core.billing.stripe_models import BillingAccount, PaymentMethodSeen
from tests.api.conftest import Api, client
from tests.api.credentials import LoggedIn, log_in
from tests.support.clock import START

pytestmark = pytest.mark.integration

FIELDS = {"id", "name", "prefix", "mode", "createdAt", "lastUsedAt", "revokedAt"}


@pytest.fixture
async def ada(api: Api) -> LoggedIn:
    return await log_in(api.book, "ada@example.com")


async def create(api: Api, person: LoggedIn, name: str = "ci", mode: str = "live") -> Any:
    answer = await api.anonymous.post(
        "/api/v1/keys", json={"name": name, "mode": mode}, headers=person.headers
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def status_of(api: Api, key: str) -> int:
    async with client(api.anonymous._transport, key) as holder:  # type: ignore[arg-type]
        return (await holder.get("/api/v1/jobs")).status_code


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(api: Api, ada: LoggedIn) -> None:
    """API-79, AU-04."""
    made = await create(api, ada)
    assert set(made) == FIELDS | {"key"}
    assert made["key"].startswith(made["prefix"])
    assert await status_of(api, made["key"]) == 200

    listed = (await api.anonymous.get("/api/v1/keys", headers=ada.headers)).json()
    assert [set(one) for one in listed["data"]] == [FIELDS]
    assert made["key"] not in json.dumps(listed)
    assert listed["data"][0]["lastUsedAt"] is not None

    path = f"/api/v1/keys/{made['id']}"
    assert (await api.anonymous.delete(path, headers=ada.headers)).status_code == 204
    assert await status_of(api, made["key"]) == 401
    assert (await api.anonymous.delete(path, headers=ada.headers)).status_code == 204
    listed = (await api.anonymous.get("/api/v1/keys", headers=ada.headers)).json()
    assert listed["data"][0]["revokedAt"] is not None


async def test_rotating_is_a_new_key_and_the_end_of_the_old_one(api: Api) -> None:
    """AU-18, by a key itself."""
    answer = await api.live.post("/api/v1/keys", json={"name": "next", "mode": "live"})
    new = answer.json()
    old = next(
        one["id"]
        for one in (await api.live.get("/api/v1/keys")).json()["data"]
        if one["id"] != new["id"]
    )
    async with client(api.anonymous._transport, new["key"]) as holder:  # type: ignore[arg-type]
        assert (await holder.delete(f"/api/v1/keys/{old}")).status_code == 204
    assert (await api.live.get("/api/v1/keys")).status_code == 401


async def test_a_key_deals_with_keys_of_its_own_mode(api: Api, ada: LoggedIn) -> None:
    """CV-12: otherwise a test key could make itself a live one."""
    answer = await api.test.post("/api/v1/keys", json={"name": "x", "mode": "live"})
    assert (answer.status_code, answer.json()["issues"][0]["path"]) == (400, ["mode"])
    modes = {one["mode"] for one in (await api.test.get("/api/v1/keys")).json()["data"]}
    assert modes == {"test"}
    live = (await api.live.get("/api/v1/keys")).json()["data"][0]["id"]
    assert (await api.test.delete(f"/api/v1/keys/{live}")).status_code == 404
    for mode in ("live", "test"):
        await create(api, ada, mode=mode)
    listed = (await api.anonymous.get("/api/v1/keys", headers=ada.headers)).json()["data"]
    assert {one["mode"] for one in listed} == {"live", "test"}


async def test_keys_are_listed_in_pages(api: Api, ada: LoggedIn) -> None:
    """CV-13."""
    made = [(await create(api, ada, name=f"key {n}"))["id"] for n in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = await api.anonymous.get("/api/v1/keys", params=query, headers=ada.headers)
        seen += [one["id"] for one in page.json()["data"]]
        cursor = page.json()["nextCursor"]
    assert cursor is None
    assert seen == sorted(made, reverse=True)


@pytest.mark.parametrize(
    "body", [{}, {"name": "x"}, {"name": "", "mode": "live"}, {"name": "x", "mode": "both"}]
)
async def test_a_key_needs_a_name_and_a_mode(api: Api, body: dict[str, str]) -> None:
    """AU-09."""
    assert (await api.live.post("/api/v1/keys", json=body)).status_code == 400


async def test_the_webhook_secret_is_shown_and_rotated_with_a_grace(
    api: Api, ada: LoggedIn
) -> None:
    """API-30, AU-10, WH-31: two secrets sign for 24 hours."""
    path = "/api/v1/webhook-secret"
    before = (await api.anonymous.get(path, headers=ada.headers)).json()
    assert before["previousValidUntil"] is None
    assert (await api.anonymous.get(path, headers=ada.headers)).json() == before

    rotated = await api.anonymous.post(f"{path}/rotate", headers=ada.headers)
    assert rotated.status_code == 201
    after = rotated.json()
    assert after["secret"] != before["secret"]
    assert after["previousValidUntil"] == "2026-05-10T14:00:00.000Z"
    assert (await api.anonymous.get(path, headers=ada.headers)).json() == after
    async with api.book.database.begin() as session:
        team = await session.get_one(Team, ada.team_id)
    during = webhook_secrets(team, api.book.box, now=START + timedelta(hours=23))
    assert [one.get_secret_value() for one in during] == [before["secret"], after["secret"]]
    api.book.clock.advance(24 * 3600)
    over = await log_in(api.book, "ada@example.com")
    shown = (await api.anonymous.get(path, headers=over.headers)).json()
    assert shown == {"secret": after["secret"], "previousValidUntil": None}


async def test_a_key_is_told_whom_it_speaks_for(api: Api, ada: LoggedIn) -> None:
    """API-31, API-80."""
    made = await create(api, ada)
    async with client(api.anonymous._transport, made["key"]) as holder:  # type: ignore[arg-type]
        told = (await holder.get("/api/v1/consumer")).json()
    assert set(told) == {
        *("id", "name", "email", "mode", "keyId", "keyPrefix", "region", "creditRemainingUsd"),
        *("hasPaymentMethod", "storage", "transcription", "createdAt"),
    }
    assert (told["id"], told["email"], told["mode"]) == (ada.team_id, "ada@example.com", "live")
    assert (told["keyId"], told["keyPrefix"], told["region"]) == (made["id"], made["prefix"], "eu")
    assert (told["creditRemainingUsd"], told["hasPaymentMethod"]) == (5.0, False)
    operators = (await api.test.get("/api/v1/consumer")).json()
    assert (operators["email"], operators["mode"]) == (None, "test")


async def test_a_key_is_told_whether_its_team_has_a_card(api: Api) -> None:
    """API-80."""
    async with api.book.database.begin() as session:
        session.add(BillingAccount(team_id=api.book.team_id, customer_id="cus_1"))
        session.add(PaymentMethodSeen(id="pm_1", customer_id="cus_1"))
    assert (await api.live.get("/api/v1/consumer")).json()["hasPaymentMethod"] is True
