"""Screenshots: the room as the bot sees it, in the size of a tab that is watched."""

from __future__ import annotations

from typing import Final

from playwright.async_api import Page

from bot.browser.launch import TAB_VIDEO_VIEWPORT

TIMEOUT_MS: Final = 10_000


async def take_screenshot(page: Page) -> bytes:
    """A PNG. A bot that records no video has a tiny tab, which grows for the moment."""
    usual = page.viewport_size
    width, height = TAB_VIDEO_VIEWPORT
    grows = usual is not None and (usual["width"], usual["height"]) != (width, height)
    if grows:
        await page.set_viewport_size({"width": width, "height": height})
    try:
        return await page.screenshot(type="png", timeout=TIMEOUT_MS)
    finally:
        if grows and usual is not None:
            await page.set_viewport_size(usual)
