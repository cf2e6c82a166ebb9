"""A person at a real browser logs in and approves a command line (UI-01, UI-08, AU-13)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.async_api import Page, async_playwright, expect
from pydantic import SecretStr

from api.app import create_app
from bot.browser.launch import find_chromium
from core.settings import ApiSettings, Settings
from tests.api.conftest import LoggingDispatcher
from tests.api.test_logins import Mailbox
from tests.support.api_server import running_api
from tests.support.clock import ManualClock
from tests.support.ports import free_port

pytestmark = pytest.mark.browser


@dataclass
class Desk:
    """A person's browser, their mails, and a command line beside it."""

    origin: str
    page: Page
    mails: Mailbox
    command_line: httpx.AsyncClient
    # What the browser refused or complained of.
    complaints: list[str]


@pytest.fixture
async def desk(settings: Settings, clock: ManualClock) -> AsyncIterator[Desk]:
    port, mails = free_port(), Mailbox()
    origin = f"http://127.0.0.1:{port}"
    changed = settings.model_copy(update={"api": ApiSettings(port=port, public_url=origin)})
    dispatcher = LoggingDispatcher()
    app = create_app(changed, clock=clock, dispatcher=lambda _: dispatcher, mailer=mails)
    async with (
        app.router.lifespan_context(app),
        running_api(app, port),
        httpx.AsyncClient(base_url=origin, trust_env=False) as command_line,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(settings.bot.chromium), args=["--no-sandbox"]
        )
        page = await browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        yield Desk(origin, page, mails, command_line, complaints)
        await browser.close()


async def test_from_a_command_line_over_a_mail_to_a_key(desk: Desk) -> None:
    page = desk.page
    asked = await desk.command_line.post(
        "/api/v1/cli-auth/init", json={"clientName": "meetbot CLI", "hostname": "laptop"}
    )
    started = asked.json()
    await page.goto(started["loginUrl"])
    await page.get_by_label("E-mail address").fill("Ada@example.com")
    await page.get_by_role("button", name="Send me a login link").click()
    await expect(page.get_by_role("status")).to_contain_text("ada@example.com")

    await page.goto(desk.mails.link())
    await expect(page.get_by_text("meetbot CLI")).to_be_visible()
    await expect(page.get_by_text("laptop")).to_be_visible()
    path = f"/api/v1/cli-auth/poll/{started['nonce']}"
    assert (await desk.command_line.post(path)).json() == {"status": "pending"}
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("status")).to_contain_text("Go back to your command line")
    told = (await desk.command_line.post(path)).json()
    assert told["status"] == "complete"
    key = SecretStr(told["token"]).get_secret_value()
    jobs = await desk.command_line.get("/api/v1/jobs", headers={"authorization": f"Bearer {key}"})
    assert jobs.status_code == 200

    await page.goto(f"{desk.origin}/login")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("E-mail address")).to_be_visible()
    assert desk.complaints == []
