"""What a driver is made of: its page scripts and its room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page

from bot.browser.bridge import Bridge
from bot.platforms.room import Room
from core.network.addresses import Resolve, resolve
from core.platforms.spec import Slug

PAGE_DIR: Final = Path(__file__).parent / "page"


@dataclass(frozen=True)
class DriverContext:
    """What a room is driven through: a page with the init script, and its time limits.

    `signed_in`: the browser has an account's cookies. A page that asks for a name or a login all
    the same does not know the account any more: that is `core.errors.SignedOut`.
    """

    page: Page
    bridge: Bridge
    url: str
    trusted_origins: tuple[str, ...]
    navigation_timeout_seconds: float
    step_timeout_seconds: float = 10
    signed_in: bool = False
    resolver: Resolve = resolve


@dataclass(frozen=True)
class PlatformDriver:
    """One platform's driver. `page_parts` run in the init script, in this order, and find
    `page_config` in their `CONFIG`.

    `opens_unseen` says that nobody in a meeting notices when its page is loaded: the bot may do so
    ahead of its time (D11).
    """

    slug: Slug
    page_parts: tuple[Path, ...]
    room: Callable[[DriverContext], Room]
    opens_unseen: bool = False
    page_config: Mapping[str, Any] = field(default_factory=dict)
