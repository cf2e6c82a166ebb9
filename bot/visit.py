"""One bot's browser, page and room: how they come to be, and how they go."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from playwright.async_api import Error, Page

from bot.browser.bridge import Bridge
from bot.browser.guard import EgressGuard
from bot.browser.launch import (
    AUDIO_ONLY_VIEWPORT,
    TAB_VIDEO_VIEWPORT,
    BrowserOptions,
    Chromium,
)
from bot.capture.recorder import Recorder
from bot.evidence import MOST_SCREENS, evidence_folder, save_evidence
from bot.joining import Joiner
from bot.platforms.driver import DriverContext
from bot.platforms.registry import driver_of
from bot.platforms.room import Room, View
from bot.racing import any_set, first_of
from bot.redacting import secrets_in
from core.errors import BotFault, BrowserFailed, MeetingError, UnknownScreen
from core.jobs.spec import JobSpec
from core.network.addresses import is_trusted
from core.settings import Settings

log = logging.getLogger(__name__)

LEAVE_TIMEOUT_SECONDS: Final = 4.0


class Visit:
    """Holds what exists now: `chromium`, `page` and `room` are None before and after.

    `trusted` are the origins that may be visited without https and public addresses.
    """

    def __init__(
        self,
        spec: JobSpec,
        settings: Settings,
        bridge: Bridge,
        guard: EgressGuard,
        trusted: Sequence[str],
    ) -> None:
        self.chromium: Chromium | None = None
        self.page: Page | None = None
        self.room: Room | None = None
        self._spec = spec
        self._settings = settings
        self._bridge = bridge
        self._guard = guard
        self._trusted = tuple(trusted)
        self._launching: asyncio.Task[None] | None = None
        # Its page was loaded ahead of the meeting.
        self._door: Room | None = None
        # By when it was: trouble at the door leaves room for what ends the stay.
        self._screens: Counter[str] = Counter()

    def make_ready(self, *, early: bool) -> None:
        """Start the browser in the background: it takes a second.

        `early`, the meeting's page is loaded, too, where nobody in the meeting notices.
        """
        self._launching = asyncio.create_task(self._ready(early=early), name="browser")

    async def _ready(self, *, early: bool) -> None:
        chromium = await self._browser()
        if early and driver_of(self._spec.driver).opens_unseen:
            try:
                check_sandboxed(self._settings, self._spec.room_url, self._trusted)
                room = await self._approach(chromium)
                await first_of(_until_browser_dies(chromium), room.open())
            except MeetingError as error:
                # It may be there when its time has come.
                log.info("The meeting's page could not be loaded ahead: %s", error.message)
            else:
                self._door = room

    async def enter(self, joiner: Joiner) -> None:
        """A fresh page, a browser if there is none, and with `joiner` into the room.

        Raises:
            MeetingError: what kept the bot out; it may still be at the door.
        """
        check_sandboxed(self._settings, self._spec.room_url, self._trusted)
        driver_of(self._spec.driver)
        launching, self._launching = self._launching, None
        if launching is not None:
            await launching
        chromium = await self._browser()
        room, self._door = await self._open_door(chromium), None
        self.room = room or await self._approach(chromium)
        try:
            await first_of(
                _until_browser_dies(chromium), joiner.enter(self.room, opened=room is not None)
            )
        except MeetingError as error:
            files = await self.keep_evidence("join")
            if files and isinstance(error, UnknownScreen):
                message = f"{error.message} Evidence: {', '.join(files)}."
                raise UnknownScreen(message) from error
            raise

    async def keep_evidence(self, when: str) -> tuple[str, ...]:
        """Save what the page shows now; the names of the files, none where there is no page.

        Never raises for what the page does: it is asked because something is wrong already.
        """
        page, chromium = self.page, self.chromium
        shows = page is not None and page.url.startswith(("http://", "https://"))
        if page is None or not shows or chromium is None or not chromium.alive:
            return ()
        if chromium.crashed.is_set() or self._screens[when] >= MOST_SCREENS:
            return ()
        self._screens[when] += 1
        folder = evidence_folder(self._settings.work_dir / self._spec.job_id)
        name = f"{when}-{self._spec.fence}-{self._screens[when]}"
        password = self._spec.meeting_password
        secrets = {password.get_secret_value()} if password is not None else set()
        secrets |= secrets_in((self._spec.meeting_url, self._spec.room_url))
        try:
            return await save_evidence(page, folder, name, secrets)
        except OSError as error:
            log.warning("Evidence of the page could not be kept: %s", error)
            return ()

    async def _open_door(self, chromium: Chromium) -> Room | None:
        """The page that was loaded ahead, when it is still good for joining."""
        if self._door is None or chromium.crashed.is_set():
            return None
        sight = await self._door.look()
        return self._door if sight.view is View.PREJOIN else None

    async def _approach(self, chromium: Chromium) -> Room:
        """A fresh page with everything in it, not navigated yet."""
        driver = driver_of(self._spec.driver)
        page = self.page = await chromium.new_page()
        options = self._spec.recording
        await self._bridge.attach(
            page,
            [*Recorder.page_parts(options), *driver.page_parts],
            {**Recorder.page_config(options), **driver.page_config},
        )
        return driver.room(
            DriverContext(
                page=page,
                bridge=self._bridge,
                url=self._spec.room_url,
                trusted_origins=self._trusted,
                navigation_timeout_seconds=self._settings.bot.navigation_timeout_seconds,
                signed_in=self._spec.signed_in is not None,
            )
        )

    async def until_broken(self) -> str:
        """Why nothing works any more."""
        chromium = self.chromium
        if chromium is None:
            return "the browser was gone"
        await any_set(chromium.gone, chromium.crashed)
        return f"the {'browser' if chromium.gone.is_set() else 'meeting page'} crashed"

    async def leave(self) -> None:
        """Out of the room, or away from the door; never raises."""
        room, self.room = self.room, None
        if room is None:
            return
        with suppress(Error, MeetingError, TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_SECONDS):
                await room.leave()

    async def close(self, *, politely: bool = True) -> None:
        """End the browser; not `politely` where its page does not answer any more."""
        launching, self._launching = self._launching, None
        if launching is not None:
            launching.cancel()
            await asyncio.gather(launching, return_exceptions=True)
        chromium, self.chromium, self.room, self._door = self.chromium, None, None, None
        if chromium is not None and not politely:
            chromium.kill()
        await self._bridge.detach()
        if chromium is not None:
            await chromium.__aexit__(None, None, None)

    async def _browser(self) -> Chromium:
        """The meeting's browser; a new one when it died."""
        if self.chromium is not None and not self.chromium.alive:
            await self.close()
        if self.chromium is None:
            options = self._spec.recording
            browser = Chromium(
                self._settings.bot,
                BrowserOptions(
                    proxy_url=self._guard.url,
                    viewport=AUDIO_ONLY_VIEWPORT if options.video == "off" else TAB_VIDEO_VIEWPORT,
                    tab_capture=options.video == "tab",
                    trusted_origins=self._trusted,
                    signed_in=self._spec.signed_in,
                ),
            )
            self.chromium = await browser.__aenter__()
        return self.chromium


def check_sandboxed(settings: Settings, url: str, trusted: Sequence[str]) -> None:
    """Without Chromium's own sandbox only our own and trusted pages are opened (D12).

    Raises:
        BotFault: `url` is neither.
    """
    if settings.bot.unsafe_no_sandbox and not is_trusted(url, trusted):
        raise BotFault(
            "MEETBOT_BOT__UNSAFE_NO_SANDBOX is set: the browser runs without its sandbox and "
            "joins trusted origins only. Run the bot as a user other than root without it."
        )


async def _until_browser_dies(chromium: Chromium) -> None:
    await any_set(chromium.gone, chromium.crashed)
    raise BrowserFailed("The browser ended unexpectedly while joining.")
