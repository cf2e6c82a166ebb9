"""The driver of our own sandbox room."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from playwright.async_api import Error, Locator
from pydantic import ValidationError

from bot.browser.bridge import PageError
from bot.platforms.devices import Devices, PutsOut
from bot.platforms.driver import PAGE_DIR, DriverContext, PlatformDriver
from bot.platforms.observations import PageSight
from bot.platforms.opening import open_page
from bot.platforms.output import OUTPUT_PART, OutputKind, OutputMedia
from bot.platforms.room import Capabilities, Entry, Sight, View
from bot.platforms.screenshot import take_screenshot
from core.errors import (
    BadInput,
    HostDenied,
    MeetingEnded,
    MeetingError,
    MeetingNotFound,
    NetworkLoss,
    NotFound,
    RemovedFromMeeting,
)
from core.platforms.sandbox import SANDBOX

LEAVE_TIMEOUT_MS: Final = 1500.0
# A page that says more is disconnected.
CHAT_LIMIT: Final = 2000
# The button of the device that each kind of output needs.
_BUTTONS: Final[dict[OutputKind, str]] = {"audio": "mic", "image": "camera", "video": "share"}

# The page's word for how it ended, and what that means to a bot.
_ENDINGS: Final[dict[str, Callable[[str], MeetingError]]] = {
    "denied": HostDenied,
    "full": HostDenied,
    "kicked": RemovedFromMeeting,
    "ended": MeetingEnded,
    "left": MeetingEnded,
    "not-found": MeetingNotFound,
    "lost": NetworkLoss,
}


class SandboxRoom(PutsOut):
    """Implements `bot.platforms.room.Room` on the sandbox's page."""

    capabilities: Capabilities = SANDBOX.capabilities

    def __init__(self, context: DriverContext) -> None:
        self._context = context
        self._page = context.page
        self._timeout_ms = context.step_timeout_seconds * 1000
        self._devices = Devices(OutputMedia(context.bridge), self._switch)

    async def open(self) -> None:
        await open_page(
            self._page,
            self._context.url,
            trusted_origins=self._context.trusted_origins,
            timeout_seconds=self._context.navigation_timeout_seconds,
        )

    async def ask_to_join(self, entry: Entry) -> None:
        await self._find("name").fill(entry.display_name, timeout=self._timeout_ms)
        for device in ("mic", "camera"):
            await self._press(device, to=False)
        await self._find("join").click(timeout=self._timeout_ms)

    async def look(self) -> Sight:
        try:
            seen = PageSight.model_validate(await self._context.bridge.call("room.look"))
        except (PageError, ValidationError):
            # Between two documents, or a page that is not the sandbox's.
            return Sight(View.LOADING)
        failure = None
        if seen.view is View.OVER:
            make = _ENDINGS.get(seen.reason, MeetingEnded)
            failure = make(f"The meeting page says {seen.reason!r}: {seen.evidence}")
        return Sight(seen.view, seen.evidence, failure, seen.waiting_for_host)

    async def settle_in(self) -> None:
        toggle = self._find("captions-toggle")
        if await toggle.is_visible():
            await self._press("captions-toggle", to=True)

    async def stop_incoming_video(self) -> bool:
        if not await self._find("incoming-video").is_visible():
            return False
        await self._press("incoming-video", to=False)
        return True

    async def pin(self, platform_id: str, display_name: str) -> None:
        if not await self._context.bridge.call("room.pin", {"platformId": platform_id}):
            raise NotFound(f"{display_name} is not in the room any more.")

    async def screenshot(self) -> bytes:
        return await take_screenshot(self._page)

    async def send_chat(self, text: str) -> None:
        if len(text) > CHAT_LIMIT:
            raise BadInput(f"The room's chat takes {CHAT_LIMIT} characters; this has {len(text)}.")
        await self._context.bridge.call("room.say", {"text": text})

    async def leave(self) -> None:
        # Gone from the lobby or the door by closing the page, from the room by its button.
        with suppress(Error, PageError):
            if not await self._context.bridge.call("room.leave", timeout=LEAVE_TIMEOUT_MS / 1000):
                await self._page.goto("about:blank", timeout=LEAVE_TIMEOUT_MS)

    def _find(self, test_id: str) -> Locator:
        return self._page.get_by_test_id(test_id).first

    async def _press(self, test_id: str, *, to: bool) -> None:
        """Bring a toggle into the wanted state, as a person does."""
        toggle = self._find(test_id)
        pressed = await toggle.get_attribute("aria-pressed", timeout=self._timeout_ms)
        if (pressed == "true") is not to:
            await toggle.click(timeout=self._timeout_ms)

    async def _switch(self, device: OutputKind, on: bool) -> None:
        """A device of a bot in the room on or off; returns when the page says that it is on."""
        args = {"id": _BUTTONS[device], "on": on}
        await self._context.bridge.call("room.press", args, timeout=15)


SANDBOX_DRIVER: Final = PlatformDriver(
    slug="sandbox",
    page_parts=(PAGE_DIR / "observer.js", OUTPUT_PART, PAGE_DIR / "sandbox.js"),
    room=SandboxRoom,
    opens_unseen=True,
)
