"""Screenshots: the room as the bot sees it, in the size of a tab that is watched."""

from __future__ import annotations

import asyncio
import base64
from typing import Final

from playwright.async_api import Page

from bot.browser.launch import TAB_VIDEO_VIEWPORT

TIMEOUT_SECONDS: Final = 10.0


async def take_screenshot(page: Page) -> bytes:
    """A PNG. A bot that records no video has a tiny tab, which grows for the moment."""
    usual = page.viewport_size
    width, height = TAB_VIDEO_VIEWPORT
    grows = usual is not None and (usual["width"], usual["height"]) != (width, height)
    if grows:
        await page.set_viewport_size({"width": width, "height": height})
    try:
        # The debugger's own: Playwright's waits for frames and fonts first, which a page whose tab
        # is being recorded has little time for.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            debugger = await page.context.new_cdp_session(page)
            try:
                asked = {"format": "png", "optimizeForSpeed": True}
                taken = await debugger.send("Page.captureScreenshot", asked)
            finally:
                await debugger.detach()
        return base64.b64decode(taken["data"])
    finally:
        if grows and usual is not None:
            await page.set_viewport_size(usual)
