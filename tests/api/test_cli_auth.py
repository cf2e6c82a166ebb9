"""The device flow of the command line (API-23 to 25, API-77, AU-11 to 13)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from tests.api.conftest import Api, client
from tests.api.credentials import LoggedIn, log_in

pytestmark = pytest.mark.integration


@pytest.fixture
async def ada(api: Api) -> LoggedIn:
    return await log_in(api.book, "ada@example.com")


async def begin(api: Api, **body: str) -> dict[str, Any]:
    answer = await api.anonymous.post("/api/v1/cli-auth/init", json=body)
    assert answer.status_code == 201, answer.text
    started: dict[str, Any] = answer.json()
    return started


async def poll(api: Api, nonce: str) -> httpx.Response:
    return await api.anonymous.post(f"/api/v1/cli-auth/poll/{nonce}")


async def complete(api: Api, nonce: str, headers: dict[str, str], approve: bool) -> httpx.Response:
    body = {"nonce": nonce, "approve": approve}
    return await api.anonymous.post("/api/v1/cli-auth/complete", json=body, headers=headers)


async def test_a_command_line_gets_a_key_of_whoever_approves(api: Api, ada: LoggedIn) -> None:
    """API-77: pending, complete with a key once, then 410."""
    started = await begin(api, clientName="meetbot", hostname="laptop")
    assert (started["expiresIn"], started["interval"]) == (600, 2)
    nonce = started["nonce"]
    # 43 characters of base64 carry 256 bits.
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", nonce)
    assert started["loginUrl"] == f"http://127.0.0.1:8080/cli-auth?nonce={nonce}"
    assert (await poll(api, nonce)).json() == {"status": "pending"}

    approved = await complete(api, nonce, ada.headers, approve=True)
    assert (approved.status_code, approved.json()) == (200, {"ok": True})
    told = (await poll(api, nonce)).json()
    assert told["status"] == "complete"
    assert told["team"] == {"id": ada.team_id, "name": "ada"}
    async with client(api.anonymous._transport, told["token"]) as with_key:  # type: ignore[arg-type]
        assert (await with_key.get("/api/v1/jobs")).status_code == 200
    assert (await poll(api, nonce)).status_code == 410
    assert (await complete(api, nonce, ada.headers, approve=True)).status_code == 410


async def test_the_key_is_given_once_even_to_two_at_once(api: Api, ada: LoggedIn) -> None:
    nonce = (await begin(api))["nonce"]
    await complete(api, nonce, ada.headers, approve=True)
    answers = await asyncio.gather(*(poll(api, nonce) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410, 410]


async def test_a_denied_command_line_is_told_and_gets_nothing(api: Api, ada: LoggedIn) -> None:
    nonce = (await begin(api))["nonce"]
    await complete(api, nonce, ada.headers, approve=False)
    assert (await poll(api, nonce)).json() == {"status": "denied"}
    assert (await poll(api, nonce)).status_code == 410


async def test_a_login_runs_out_after_ten_minutes(api: Api, ada: LoggedIn) -> None:
    """AU-12."""
    nonce = (await begin(api))["nonce"]
    api.book.clock.advance(600)
    assert (await poll(api, nonce)).status_code == 410
    assert (await complete(api, nonce, ada.headers, approve=True)).status_code == 410


async def test_unknown_nonces_and_missing_logins(api: Api, ada: LoggedIn) -> None:
    """API-25."""
    for nonce in ("nonsense", "A" * 43):
        assert (await poll(api, nonce)).status_code == 404
        assert (await complete(api, nonce, ada.headers, approve=True)).status_code == 404
    nonce = (await begin(api))["nonce"]
    assert (await complete(api, nonce, {}, approve=True)).status_code == 401
    without_proof = {"cookie": ada.headers["cookie"]}
    assert (await complete(api, nonce, without_proof, approve=True)).status_code == 403
    assert (await poll(api, nonce)).json() == {"status": "pending"}


async def test_each_login_has_a_nonce_of_its_own_and_a_client_ten_a_minute(api: Api) -> None:
    """API-23, API-85."""
    nonces = {(await begin(api))["nonce"] for _ in range(10)}
    assert len(nonces) == 10
    refused = await api.anonymous.post("/api/v1/cli-auth/init")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1


async def test_a_client_cannot_choose_its_address(api: Api) -> None:
    """Only our own proxies are believed."""
    for number in range(11):
        answer = await api.anonymous.post(
            "/api/v1/cli-auth/init", headers={"x-forwarded-for": f"198.51.100.{number}"}
        )
    assert answer.status_code == 429


async def test_a_person_sees_who_asks_and_has_to_click(api: Api, ada: LoggedIn) -> None:
    """AU-13, UI-08."""
    started = await begin(api, clientName="<b>evil</b>", hostname="laptop")
    nonce, cookie = started["nonce"], {"cookie": ada.headers["cookie"]}
    anonymous = await api.anonymous.get("/cli-auth", params={"nonce": nonce})
    assert anonymous.headers["location"].startswith("/login?next=%2Fcli-auth%3Fnonce%3D")

    page = await api.anonymous.get("/cli-auth", params={"nonce": nonce}, headers=cookie)
    assert "&lt;b&gt;evil&lt;/b&gt;" in page.text
    assert "laptop" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert (await poll(api, nonce)).json() == {"status": "pending"}

    form = {"nonce": nonce, "approve": "yes"}
    assert (await api.anonymous.post("/cli-auth", data=form, headers=cookie)).status_code == 403
    form["csrf"] = ada.headers["x-csrf-token"]
    foreign = cookie | {"origin": "https://evil.example"}
    assert (await api.anonymous.post("/cli-auth", data=form, headers=foreign)).status_code == 403
    assert (await api.anonymous.post("/cli-auth", data=form)).status_code == 401
    clicked = await api.anonymous.post("/cli-auth", data=form, headers=cookie)
    assert "Approved" in clicked.text
    assert (await poll(api, nonce)).json()["status"] == "complete"
    assert (await api.anonymous.post("/cli-auth", data=form, headers=cookie)).status_code == 410
    over = await api.anonymous.get("/cli-auth", params={"nonce": nonce}, headers=cookie)
    assert over.status_code == 410


@pytest.mark.parametrize("text", ["", "x" * 65, "a\u202eb", "a\nb"])
async def test_what_a_client_calls_itself_is_short_and_printable(api: Api, text: str) -> None:
    answer = await api.anonymous.post("/api/v1/cli-auth/init", json={"clientName": text})
    assert answer.status_code == 400
