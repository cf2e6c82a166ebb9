"""Drivers and the specs that they belong to."""

from __future__ import annotations

import pytest

from bot.platforms.registry import DRIVERS, driver_of
from core.errors import BotFault
from core.platforms.registry import spec_of

pytestmark = pytest.mark.unit


def test_every_driver_has_a_spec_and_its_page_scripts() -> None:
    for driver in DRIVERS:
        assert spec_of(driver.slug).slug == driver.slug
        assert driver_of(driver.slug) is driver
        assert all(part.is_file() for part in driver.page_parts)
    assert len({driver.slug for driver in DRIVERS}) == len(DRIVERS)


def test_a_platform_without_a_driver_says_so() -> None:
    with pytest.raises(BotFault, match="no driver for discord"):
        driver_of("discord")
