"""The driver of Zoom's web client (PL-23)."""

from __future__ import annotations

from typing import Final

from bot.platforms.driver import PAGE_DIR
from bot.platforms.web.room import web_driver

ZOOM_DRIVER: Final = web_driver(
    "zoom", *(PAGE_DIR / "web" / name for name in ("played.js", "zoom.js"))
)
