"""A real Chromium with a bridge, and a page that holds both ends of a call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright

from bot.browser.bridge import Bridge
from bot.browser.launch import find_chromium
from bot.capture.page_parts import page_config, page_parts
from bot.capture.recorder import Recorder
from core.clock import SystemClock
from core.jobs.spec import JobSpec, RecordingOptions

ORIGIN = "https://meet.test/"
PAGES = Path(__file__).parent / "pages"


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(None, Path(playwright.chromium.executable_path)),
            ignore_default_args=["--mute-audio"],
            args=[
                "--no-sandbox",
                "--allow-loopback-in-peer-connection",
                "--auto-accept-this-tab-capture",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        yield browser
        await browser.close()


@dataclass
class Call:
    """A recorded page; `errors` are what the page itself complained about."""

    page: Page
    bridge: Bridge
    recorder: Recorder
    work_dir: Path
    errors: list[str] = field(default_factory=list)

    async def run(self, script: str) -> object:
        return await self.page.evaluate(script)


def spec(recording: RecordingOptions, fence: int = 1) -> JobSpec:
    return JobSpec(
        job_id="job_01HXY1AB7M2QNTWA9YQRH5JEP6",
        fence=fence,
        platform="sandbox",
        driver="sandbox",
        meeting_url=ORIGIN,
        room_url=ORIGIN,
        display_name="Notes",
        livemode=False,
        recording=recording,
    )


class Calls:
    """Opens recorded pages; every one is closed at the end of the test."""

    def __init__(self, browser: Browser, work_dir: Path) -> None:
        self._browser = browser
        self._work_dir = work_dir
        self.opened: list[Call] = []

    async def open(
        self,
        recording: RecordingOptions,
        html: str = "call.html",
        headers: dict[str, str] | None = None,
        query: str = "",
    ) -> Call:
        clock = SystemClock()
        context = await self._browser.new_context(
            bypass_csp=True, viewport={"width": 640, "height": 360}
        )
        page = await context.new_page()
        bridge = Bridge(clock)
        work_dir = self._work_dir / f"job{len(self.opened)}"
        recorder = Recorder(spec(recording), work_dir, bridge, clock)
        call = Call(page, bridge, recorder, work_dir)
        page.on("pageerror", lambda error: call.errors.append(str(error)))
        self.opened.append(call)

        async def serve(route: Route) -> None:
            name = route.request.url.removeprefix(ORIGIN).partition("?")[0] or html
            await route.fulfill(path=PAGES / name, headers={**_TYPES[name[-3:]], **(headers or {})})

        await page.route(ORIGIN + "**", serve)
        await bridge.attach(page, page_parts(recording), page_config(recording))
        await page.goto(ORIGIN + query)
        return call


_TYPES = {
    "tml": {"content-type": "text/html"},
    ".js": {"content-type": "text/javascript"},
}


@pytest.fixture
async def calls(browser: Browser, tmp_path: Path) -> AsyncIterator[Calls]:
    calls = Calls(browser, tmp_path)
    yield calls
    for call in calls.opened:
        await call.page.context.close()
