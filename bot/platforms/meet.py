"""The driver of Google Meet (PL-21)."""

from __future__ import annotations

from typing import Final

from bot.platforms.driver import PAGE_DIR
from bot.platforms.web.room import web_driver

_PAGE: Final = PAGE_DIR / "web"
MEET_DRIVER: Final = web_driver(
    "meet", *(_PAGE / name for name in ("meet_wire.js", "meet_channels.js", "meet.js"))
)
