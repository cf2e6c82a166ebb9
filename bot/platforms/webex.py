"""The driver of Cisco Webex: its web client and nothing else of it (PL-30 to PL-37)."""

from __future__ import annotations

from typing import Final

from bot.platforms.web.room import web_driver

WEBEX_DRIVER: Final = web_driver("webex")
