"""The drivers that there are."""

from __future__ import annotations

from typing import Final

from bot.platforms.driver import PlatformDriver
from bot.platforms.jitsi import JITSI_DRIVER
from bot.platforms.meet import MEET_DRIVER
from bot.platforms.sandbox import SANDBOX_DRIVER
from bot.platforms.teams import TEAMS_DRIVER
from bot.platforms.webex import WEBEX_DRIVER
from bot.platforms.whereby import WHEREBY_DRIVER
from bot.platforms.zoom import ZOOM_DRIVER
from core.errors import BotFault

DRIVERS: Final[tuple[PlatformDriver, ...]] = (
    SANDBOX_DRIVER,
    JITSI_DRIVER,
    MEET_DRIVER,
    TEAMS_DRIVER,
    WEBEX_DRIVER,
    WHEREBY_DRIVER,
    ZOOM_DRIVER,
)


def driver_of(slug: str) -> PlatformDriver:
    """The driver of a platform.

    Raises:
        BotFault: this version cannot join that platform.
    """
    for driver in DRIVERS:
        if driver.slug == slug:
            return driver
    known = ", ".join(driver.slug for driver in DRIVERS)
    raise BotFault(f"This version has no driver for {slug}; it can join {known}.")
