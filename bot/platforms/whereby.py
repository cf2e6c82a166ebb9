"""The driver of Whereby, and of Whereby Embedded on its customers' sub-domains (PL-60 to PL-66)."""

from __future__ import annotations

from typing import Final

from bot.platforms.driver import PAGE_DIR
from bot.platforms.web.room import web_driver

WHEREBY_DRIVER: Final = web_driver("whereby", PAGE_DIR / "web" / "whereby.js")
