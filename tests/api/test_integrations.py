"""Accounts that bots sign in with, over HTTP (API-46)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.integrations.pool import lend
from core.integrations.state import MOST_COOKIES
from core.jobs.lifecycle import Status
from tests.api.conftest import Api
from tests.api.credentials import log_in
from tests.support.accounts import signed_in

pytestmark = pytest.mark.integration

PATH = "/api/v1/integrations"
FIELDS = {
    *("id", "provider", "label", "status", "problem"),
    *("expiresAt", "inUseBy", "checkedAt", "lastUsedAt", "createdAt"),
}


def body(label: str = "bot@example.com", **state: Any) -> dict[str, Any]:
    return {"label": label, "storageState": signed_in("zoom.us", "the very session") | state}


async def test_an_account_is_connected_listed_and_deleted(api: Api) -> None:
    made = await api.live.post(f"{PATH}/zoom/connect", json=body())
    assert made.status_code == 201, made.text
    account = made.json()
    assert set(account) == FIELDS
    assert account["id"].startswith("int_")
    assert (account["provider"], account["status"], account["problem"]) == ("zoom", "active", None)

    again = await api.live.post(f"{PATH}/zoom/connect", json=body())
    assert again.json()["id"] == account["id"], "the same label is the same account"
    listed = await api.live.get(PATH)
    assert [one["id"] for one in listed.json()["data"]] == [account["id"]]
    assert "the very session" not in made.text + again.text + listed.text
    assert (await api.test.get(PATH)).json() == {"data": []}, "CV-12"

    assert (await api.live.delete(f"{PATH}/{account['id']}")).status_code == 204
    assert (await api.live.delete(f"{PATH}/{account['id']}")).status_code == 404
    assert (await api.live.get(PATH)).json() == {"data": []}


async def test_a_person_who_is_logged_in_may_connect_one(api: Api) -> None:
    person = await log_in(api.book, "ada@example.com")
    made = await api.anonymous.post(
        f"{PATH}/google/connect",
        json={"label": "bot", "storageState": signed_in("google.com")},
        headers=person.headers,
    )
    assert (made.status_code, made.json()["provider"]) == (201, "google")


async def test_it_is_shown_who_uses_an_account(api: Api) -> None:
    await api.live.post(f"{PATH}/zoom/connect", json=body())
    job = await api.live_job(Status.JOINING, platform="zoom", driver="zoom")
    services = api.app.state.services
    async with services.database.begin() as session:
        await lend(session, services.box, job, now=services.clock.now())
    (shown,) = (await api.live.get(PATH)).json()["data"]
    assert shown["inUseBy"] == job.id


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ({"cookies": []}, "storageState.cookies"),
        ({"cookies": [{"name": "a"}]}, "storageState.cookies.0.value"),
        ({"cookies": [{"name": "a", "value": "hidden one"}] * (MOST_COOKIES + 1)}, "storageState"),
        ({"origins": [{"origin": "http://zoom.us"}]}, "storageState.origins.0.origin"),
    ],
)
async def test_what_is_no_login_is_refused(api: Api, state: dict[str, Any], where: str) -> None:
    """CV-10: with the place, and without the secret."""
    answer = await api.live.post(f"{PATH}/zoom/connect", json=body(**state))
    assert answer.status_code == 400
    issues = answer.json()["issues"]
    assert any(where in ".".join(map(str, one["path"])) for one in issues), issues
    assert "hidden one" not in json.dumps(answer.json())
