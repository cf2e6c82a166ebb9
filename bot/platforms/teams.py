"""The driver of Microsoft Teams (PL-22)."""

from __future__ import annotations

from typing import Final

from bot.platforms.driver import PAGE_DIR
from bot.platforms.web.room import web_driver

TEAMS_DRIVER: Final = web_driver("teams", PAGE_DIR / "web" / "teams.js")
