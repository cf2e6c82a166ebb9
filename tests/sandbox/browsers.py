"""Chromium for tests of the meeting page: visitors with fake devices, and bots without any."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright, expect

from bot.browser.launch import find_chromium

LOOPBACK = ["--no-sandbox", "--allow-loopback-in-peer-connection"]
# The fake microphone beeps once a second; a screen is shared without a question.
DEVICES = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
    "--autoplay-policy=no-user-gesture-required",
]
# Adds up the counters of all received streams of one kind, over all connections of the page.
INBOUND = """async (kind) => {
  const sum = { bytes: 0, packets: 0, concealed: 0, samples: 0, energy: 0, framesDecoded: 0 };
  for (const pc of globalThis.connections ?? []) {
    for (const report of (await pc.getStats()).values()) {
      if (report.type !== "inbound-rtp" || report.kind !== kind) continue;
      sum.bytes += report.bytesReceived;
      sum.packets += report.packetsReceived;
      sum.concealed += (report.concealedSamples ?? 0) - (report.silentConcealedSamples ?? 0);
      sum.samples += report.totalSamplesReceived ?? 0;
      sum.energy += report.totalAudioEnergy ?? 0;
      sum.framesDecoded += report.framesDecoded ?? 0;
    }
  }
  return sum;
}"""
# Keeps every peer connection of the page in reach of `INBOUND`.
REMEMBER = """globalThis.connections = [];
globalThis.RTCPeerConnection = new Proxy(RTCPeerConnection, {
  construct(target, args) {
    const made = Reflect.construct(target, args);
    globalThis.connections.push(made);
    return made;
  },
});"""


class Visitor:
    """A page in a room, as its user sees it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def inbound(self, kind: str) -> dict[str, float]:
        """Sums of the `inbound-rtp` statistics of all connections."""
        sums: dict[str, float] = await self.page.evaluate(INBOUND, kind)
        return sums

    async def in_room(self) -> None:
        await expect(self.page.get_by_test_id("room")).to_be_visible(timeout=10_000)

    async def ended(self, reason: str) -> None:
        """The last view is shown, and says why."""
        ended = self.page.get_by_test_id("ended")
        await expect(ended).to_be_visible(timeout=10_000)
        await expect(ended).to_have_attribute("data-reason", reason)

    async def names(self) -> set[str]:
        """Display names of the camera tiles."""
        tiles = self.page.locator('[data-testid="tile"][data-kind="camera"]')
        found: list[str] = await tiles.evaluate_all("all => all.map(t => t.dataset.displayName)")
        return set(found)

    async def click(self, test_id: str) -> None:
        await self.page.get_by_test_id(test_id).first.click()


class Browsers:
    """Two browsers, started when first needed."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._running: dict[bool, Browser] = {}
        self._contexts: list[BrowserContext] = []
        self._errors: list[str] = []

    async def __aenter__(self) -> Self:
        self._playwright = await async_playwright().start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for browser in self._running.values():
            await browser.close()
        if self._playwright:
            await self._playwright.stop()

    async def _browser(self, devices: bool) -> Browser:
        if devices not in self._running:
            assert self._playwright, "use Browsers as a context manager"
            chromium = self._playwright.chromium
            self._running[devices] = await chromium.launch(
                executable_path=find_chromium(None, Path(chromium.executable_path)),
                args=[*LOOPBACK, *(DEVICES if devices else [])],
            )
        return self._running[devices]

    async def open(self, url: str, *, devices: bool = False) -> Visitor:
        """A page at `url`; errors of its scripts fail the test that opened it."""
        context = await (await self._browser(devices)).new_context(**_WINDOW)
        self._contexts.append(context)
        page = await context.new_page()
        await page.add_init_script(REMEMBER)
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        await page.goto(url)
        return Visitor(page)

    async def join(self, url: str, name: str, *, devices: bool = False) -> Visitor:
        """A page that pressed join; wait for `in_room` unless there is a lobby."""
        visitor = await self.open(url, devices=devices)
        if devices:
            await expect(visitor.page.get_by_test_id("mic")).to_have_attribute(
                "aria-pressed", "true"
            )
        await visitor.page.get_by_test_id("name").fill(name)
        await visitor.click("join")
        return visitor

    async def close_pages(self) -> None:
        for context in self._contexts:
            await context.close()
        self._contexts.clear()
        errors, self._errors = self._errors, []
        assert not errors, f"scripts of the page failed: {errors}"


_WINDOW: dict[str, Any] = {"viewport": {"width": 1280, "height": 720}}
