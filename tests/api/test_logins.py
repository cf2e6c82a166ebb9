"""Logging in by mail, and out (API-47, AU-14, AU-15)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from sqlmodel import func, select

from core.accounts.models import User
from core.errors import Unavailable
from tests.api.conftest import Api

pytestmark = pytest.mark.integration

LINK = re.compile(r"http://\S+/auth/magic-link/verify\?token=\S+")


@dataclass
class Mailbox:
    """Takes mails and keeps them; `down` makes it refuse them."""

    mails: list[tuple[str, str, str]] = field(default_factory=list)
    down: bool = False

    async def send(self, address: str, subject: str, text: str) -> None:
        if self.down:
            raise Unavailable("The mail server is away.")
        self.mails.append((address, subject, text))

    def link(self) -> str:
        found = LINK.search(self.mails[-1][2])
        assert found is not None
        return found[0]


@pytest.fixture
def mailbox(api: Api) -> Mailbox:
    box = Mailbox()
    object.__setattr__(api.app.state.services, "mailer", box)
    return box


@pytest.fixture
async def browser(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies, as browsers do, and follows no redirect by itself."""
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


async def ask_for_link(browser: httpx.AsyncClient, email: str, **more: str) -> httpx.Response:
    return await browser.post("/auth/magic-link", json={"email": email, **more})


async def test_a_link_logs_in_once(browser: httpx.AsyncClient, mailbox: Mailbox) -> None:
    """API-47, AU-15: a second use is answered 410."""
    answer = await ask_for_link(browser, "Ada@Example.com", next="/cli-auth?nonce=x")
    assert (answer.status_code, answer.json()) == (202, {"accepted": True})
    assert mailbox.mails[0][0] == "ada@example.com"

    used = await browser.get(mailbox.link())
    assert (used.status_code, used.headers["location"]) == (302, "/cli-auth?nonce=x")
    cookie = used.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    who = (await browser.get("/auth/session")).json()
    assert who["user"]["email"] == "ada@example.com"
    assert who["user"]["id"].startswith("usr_")
    assert who["team"]["id"].startswith("team_")

    again = await browser.get(mailbox.link())
    assert (again.status_code, again.json()["code"]) == (410, "expired")
    clicked = await browser.get(mailbox.link(), headers={"accept": "text/html"})
    assert (clicked.status_code, "Ask for a new one" in clicked.text) == (410, True)


async def test_a_link_is_good_for_fifteen_minutes(
    api: Api, browser: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await ask_for_link(browser, "ada@example.com")
    api.book.clock.advance(15 * 60)
    assert (await browser.get(mailbox.link())).status_code == 410
    assert (await browser.get("/auth/session")).status_code == 401


async def test_known_and_unknown_addresses_are_answered_the_same(
    api: Api, browser: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    """AU-15: nothing about the address is looked up before it is proven."""
    await ask_for_link(browser, "ada@example.com")
    await browser.get(mailbox.link())
    known = await ask_for_link(browser, "ada@example.com")
    unknown = await ask_for_link(browser, "nobody@example.com")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    async with api.book.database.begin() as session:
        assert (await session.exec(select(func.count()).select_from(User))).one() == 1


async def test_a_mail_server_that_is_away_changes_no_answer(
    browser: httpx.AsyncClient, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.down = True
    assert (await ask_for_link(browser, "ada@example.com")).status_code == 202
    assert "not sent" in caplog.text
    assert "token=" not in caplog.text


@pytest.mark.parametrize("token", ["", "x", "A" * 43 + "!", "é" * 43])
async def test_what_is_no_token_is_no_server_error(
    browser: httpx.AsyncClient, mailbox: Mailbox, token: str
) -> None:
    answer = await browser.get("/auth/magic-link/verify", params={"token": token})
    assert answer.status_code == 400
    assert (await browser.get("/auth/magic-link/verify")).status_code == 400
    unknown = await browser.get("/auth/magic-link/verify", params={"token": "A" * 43})
    assert unknown.status_code == 410


@pytest.mark.parametrize(
    "landing",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "x"],
)
async def test_a_login_leads_to_no_other_site(
    browser: httpx.AsyncClient, mailbox: Mailbox, landing: str
) -> None:
    await ask_for_link(browser, "ada@example.com", next=landing)
    assert (await browser.get(mailbox.link())).headers["location"] == "/login"


async def test_links_are_limited_by_address_and_by_client(
    api: Api, browser: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    """API-85."""
    for _ in range(5):
        assert (await ask_for_link(browser, "ada@example.com")).status_code == 202
    refused = await ask_for_link(browser, "ada@example.com")
    assert refused.status_code == 429
    # Five in a quarter of an hour: the next one when they have faded by one.
    assert 15 * 60 <= int(refused.headers["retry-after"]) <= 30 * 60
    for number in range(5):
        assert (await ask_for_link(browser, f"{number}@example.com")).status_code == 202
    assert (await ask_for_link(browser, "more@example.com")).status_code == 429
    api.book.clock.advance(120)
    assert (await ask_for_link(browser, "more@example.com")).status_code == 202


async def test_a_page_of_another_site_cannot_have_mails_sent(
    browser: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    answer = await browser.post(
        "/auth/magic-link",
        json={"email": "ada@example.com"},
        headers={"origin": "https://evil.example"},
    )
    assert answer.status_code == 403
    assert mailbox.mails == []


async def test_after_logging_out_the_cookie_is_worth_nothing(
    browser: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await ask_for_link(browser, "ada@example.com")
    await browser.get(mailbox.link())
    cookie = dict(browser.cookies)
    token = (await browser.get("/auth/session")).json()["csrfToken"]
    assert (await browser.post("/auth/logout")).status_code == 403
    answer = await browser.post("/auth/logout", headers={"x-csrf-token": token})
    assert answer.status_code == 204
    browser.cookies.update(cookie)
    assert (await browser.get("/auth/session")).status_code == 401
    assert (await browser.post("/auth/logout")).status_code == 401


async def test_the_login_page_works_without_scripts(
    browser: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    """UI-01."""
    page = await browser.get("/login", params={"next": '/cli-auth?nonce="><script>'})
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "http://" not in page.text.replace("http://127.0.0.1", "")
    wrong = await browser.post("/login", data={"email": "nonsense"})
    assert (wrong.status_code, "name@example.com" in wrong.text) == (400, True)
    sent = await browser.post("/login", data={"email": "ada@example.com", "next": "/login"})
    assert "ada@example.com" in sent.text
    await browser.get(mailbox.link())
    inside = await browser.get("/login")
    assert "logged in as <strong>ada@example.com" in inside.text
    csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', inside.text)
    assert csrf is not None
    assert (await browser.post("/logout", data={"csrf": "x"})).status_code == 403
    out = await browser.post("/logout", data={"csrf": csrf[1]})
    assert out.status_code == 303
    assert (await browser.get("/auth/session")).status_code == 401
