"""Drivers and the specs that they belong to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, fields

import pytest

from bot.platforms.driver import PlatformDriver
from bot.platforms.registry import DRIVERS, driver_of
from bot.platforms.web.anchors import Purpose, load_anchors
from bot.platforms.web.states import PageState
from core.errors import BotFault
from core.platforms.registry import spec_of
from core.platforms.spec import Capabilities

pytestmark = pytest.mark.unit

WEB = [driver for driver in DRIVERS if "web" in driver.page_config]


def test_every_driver_has_a_spec_and_its_page_scripts() -> None:
    for driver in DRIVERS:
        assert spec_of(driver.slug).slug == driver.slug
        assert driver_of(driver.slug) is driver
        assert all(part.is_file() for part in driver.page_parts)
    assert len({driver.slug for driver in DRIVERS}) == len(DRIVERS)


def test_a_platform_without_a_driver_says_so() -> None:
    with pytest.raises(BotFault, match="no driver for discord"):
        driver_of("discord")


def scripted(driver: PlatformDriver, member: str) -> bool:
    """Whether the platform's own script gives `webPlatform.<member>`."""
    scripts = "".join(part.read_text() for part in driver.page_parts)
    return re.search(rf"webPlatform\.{member} = ", scripts) is not None


def anchored(driver: PlatformDriver, *purposes: Purpose) -> bool:
    anchors = load_anchors(driver.slug).anchors
    return all(anchors.get(one) for one in purposes)


def has_screen(driver: PlatformDriver, *states: PageState) -> bool:
    return any(rule.state in states for rule in load_anchors(driver.slug).rules)


def says_who_hosts(driver: PlatformDriver) -> bool:
    rows = load_anchors(driver.slug).roster
    return scripted(driver, "roster") or (rows is not None and "host" in rows.fields)


# What a spec may claim, and what its driver has to have for it.
NEEDS: dict[str, Callable[[PlatformDriver], bool]] = {
    "lobby": lambda one: has_screen(one, PageState.LOBBY),
    "captions": lambda one: scripted(one, "showCaptions") or anchored(one, "captions_on"),
    "chat": lambda one: scripted(one, "say") or anchored(one, "chat_input"),
    "host_role": says_who_hosts,
    "stop_incoming_video": lambda one: (
        scripted(one, "stopIncomingVideo") or anchored(one, "stop_incoming_video")
    ),
    "pin": lambda one: scripted(one, "pin"),
    # By the browser, whatever the page is.
    "screenshot": lambda one: bool(one.page_parts),
    "speak": lambda one: anchored(one, "unmute_microphone", "mute_microphone"),
    "show_image": lambda one: anchored(one, "start_camera", "stop_camera"),
    "share_video": lambda one: anchored(one, "share_screen", "stop_sharing"),
}


def test_every_claim_has_its_need() -> None:
    assert {field.name for field in fields(Capabilities)} == NEEDS.keys()


@pytest.mark.parametrize("driver", WEB, ids=[one.slug for one in WEB])
def test_a_driver_has_what_its_spec_claims_and_no_more(driver: PlatformDriver) -> None:
    """PL-16: what is refused is refused by the API, not by a bot in a meeting."""
    claims = asdict(spec_of(driver.slug).capabilities)
    unfounded = [name for name, claimed in claims.items() if claimed and not NEEDS[name](driver)]
    assert unfounded == []
    if not claims["pin"]:
        assert not scripted(driver, "pin"), "it can, so the spec may say so"
