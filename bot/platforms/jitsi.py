"""The driver of Jitsi Meet (PL-40 to PL-48)."""

from __future__ import annotations

from typing import Final

from bot.platforms.driver import PAGE_DIR
from bot.platforms.web.room import web_driver

JITSI_DRIVER: Final = web_driver("jitsi", PAGE_DIR / "web" / "jitsi.js")
