"""One Chromium per meeting: found, started, watched, and gone with its process group at the end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import tempfile
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import psutil
from playwright.async_api import BrowserContext, Error, Page, Playwright, async_playwright

from bot.browser.init_script import PAGE_DIR
from bot.browser.signing_in import sign_in
from core.errors import BrowserFailed
from core.integrations.state import StorageState
from core.settings import BotSettings

log = logging.getLogger(__name__)

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
TAB_VIDEO_VIEWPORT: Final = (1280, 720)
AUDIO_ONLY_VIEWPORT: Final = (320, 180)
CLOSE_TIMEOUT_SECONDS: Final = 5.0
# A socket's path has 107 characters, and Chromium's own part of it 45.
LONGEST_TMPDIR: Final = 62

# Playwright's defaults that are for testing pages, not for attending hostile ones.
_UNWANTED_DEFAULTS: Final = ("--disable-popup-blocking", "--disable-ipc-flooding-protection")
# Chromium heeds only the last --disable-features, so what we need of Playwright's list is here.
_DISABLED_FEATURES: Final = (
    "AutofillServerCommunication",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    # A sandboxed srcdoc frame in a process of its own may start before its init scripts are there.
    "IsolateSandboxedIframes",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    # A renderer kept ready for a page that never comes, and one for an address bar that nobody
    # types into: 12 and 45 MiB a bot.
    "SpareRendererForSitePerProcess",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
    "Translate",
)
_HINT: Final = (
    "Install Chromium with 'apt install chromium' or 'playwright install chromium', or set "
    "MEETBOT_BOT__CHROMIUM to its executable."
)


@dataclass(frozen=True)
class BrowserOptions:
    """What the recording needs of the browser. `proxy_url` is the egress guard's."""

    proxy_url: str
    viewport: tuple[int, int] = AUDIO_ONLY_VIEWPORT
    tab_capture: bool = False
    trusted_origins: tuple[str, ...] = ()
    # The account that it is signed in with.
    signed_in: StorageState | None = None


def find_chromium(configured: Path | None, bundled: Path | None = None) -> Path:
    """The Chromium to run: the setting, else one on PATH, else Playwright's own (`bundled`).

    Raises:
        BrowserFailed: none is there; the message says how to get one.
    """
    if configured is not None:
        if not (configured.is_file() and os.access(configured, os.X_OK)):
            message = f"MEETBOT_BOT__CHROMIUM is {configured}, which is not an executable file."
            raise BrowserFailed(f"{message} {_HINT}")
        return configured
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    if bundled is not None and bundled.is_file():
        return bundled
    raise BrowserFailed(f"No Chromium was found. {_HINT}")


def chromium_arguments(settings: BotSettings, options: BrowserOptions) -> list[str]:
    """Command line flags beyond Playwright's own."""
    disabled = list(_DISABLED_FEATURES)
    arguments = [
        f"--proxy-server={options.proxy_url}",
        # Loopback goes through the guard, too.
        "--proxy-bypass-list=<-loopback>",
        # The guard resolves names; nothing in the browser may, above all not WebRTC.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "--disable-quic",
        "--autoplay-policy=no-user-gesture-required",
        "--deny-permission-prompts",
        "--lang=en-US",
        "--accept-lang=en-US,en",
    ]
    if options.tab_capture:
        arguments.append("--auto-accept-this-tab-capture")
    if settings.loopback_webrtc:
        arguments.append("--allow-loopback-in-peer-connection")
        # Peers on this machine must be able to use our candidates without multicast DNS.
        disabled.append("WebRtcHideLocalIpsWithMdns")
    arguments.append(f"--disable-features={','.join(disabled)}")
    return arguments


class Chromium:
    """The browser of one meeting; started by entering, always gone after leaving.

    `gone` is set when the browser ends by itself; `crashed` when the page's renderer does.
    """

    def __init__(self, settings: BotSettings, options: BrowserOptions) -> None:
        self.gone = asyncio.Event()
        self.crashed = asyncio.Event()
        self.pid: int | None = None
        self._settings = settings
        self._options = options
        self._stack = AsyncExitStack()
        self._context: BrowserContext | None = None
        self._page: Page | None = None
        self._profile: Path | None = None
        self._opening = False

    @property
    def alive(self) -> bool:
        return self._context is not None and not self.gone.is_set()

    async def __aenter__(self) -> Chromium:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def new_page(self) -> Page:
        """A fresh page; the one before is closed.

        Raises:
            BrowserFailed: the browser has died.
        """
        if self._context is None or self.gone.is_set():
            raise BrowserFailed("The browser ended unexpectedly.")
        try:
            async with asyncio.timeout(self._settings.start_timeout_seconds):
                self._opening = True
                page = self._page = await self._context.new_page()
                for other in self._context.pages:
                    if other is not page:
                        await other.close()
        except (Error, TimeoutError) as error:
            raise BrowserFailed(f"The browser did not open a page: {_reason(error)}") from error
        finally:
            self._opening = False
        self.crashed.clear()
        page.on("crash", lambda _: self.crashed.set())
        return page

    def kill(self) -> None:
        """End it without a word, for a page that does not answer; leaving cleans up as always."""
        if self._profile is not None:
            _kill_group(self.pid, self._profile)

    async def _start(self) -> None:
        profile = self._profile = Path(tempfile.mkdtemp(prefix="meetbot-browser-"))
        self._stack.callback(shutil.rmtree, profile, ignore_errors=True)
        try:
            async with asyncio.timeout(self._settings.start_timeout_seconds):
                playwright = await async_playwright().start()
                self._stack.push_async_callback(_stop, playwright)
                bundled = Path(playwright.chromium.executable_path)
                chromium = find_chromium(self._settings.chromium, bundled)
                context = await self._launch(playwright, chromium, profile)
        except (Error, TimeoutError) as error:
            raise BrowserFailed(
                f"Chromium did not start: {_reason(error)} Try to run it by hand, or set "
                "MEETBOT_BOT__CHROMIUM to another one."
            ) from error
        self._context = context
        self._stack.push_async_callback(self._close, context, profile)
        context.on("close", lambda _: self.gone.set())
        context.on("page", self._close_popup)
        self.pid = _browser_pid(profile)
        await context.add_init_script(_ice_guard(self._options.trusted_origins))
        if self._options.signed_in is not None:
            await sign_in(context, self._options.signed_in)

    async def _launch(
        self, playwright: Playwright, chromium: Path, profile: Path
    ) -> BrowserContext:
        width, height = self._options.viewport
        unwanted = list(_UNWANTED_DEFAULTS)
        if self._options.tab_capture:
            unwanted.append("--mute-audio")
        return await playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            headless=self._settings.headless,
            chromium_sandbox=not self._settings.unsafe_no_sandbox,
            args=chromium_arguments(self._settings, self._options),
            ignore_default_args=unwanted,
            # Nothing of our environment (settings, secrets) reaches the browser.
            env=_environment(profile) if self._settings.headless else None,
            viewport={"width": width, "height": height},
            locale="en-US",
            bypass_csp=True,
            accept_downloads=False,
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
            timeout=self._settings.start_timeout_seconds * 1000,
        )

    def _close_popup(self, page: Page) -> None:
        if not self._opening and page is not self._page:
            task = asyncio.ensure_future(_close_page(page))
            task.add_done_callback(lambda done: done.exception())

    async def _close(self, context: BrowserContext, profile: Path) -> None:
        self._context = None
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await context.close()
        except (Error, TimeoutError):
            log.warning("Chromium did not close in time; it is killed.")
        finally:
            _kill_group(self.pid, profile)


def _environment(profile: Path) -> dict[str, str | float | bool]:
    """The browser's own: its temporary files are where ours are, so that they go with them."""
    environment: dict[str, str | float | bool] = {"PATH": os.defpath, "HOME": str(profile)}
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) <= LONGEST_TMPDIR:
        environment["TMPDIR"] = folder
    return environment


def _ice_guard(trusted_origins: tuple[str, ...]) -> str:
    source = (PAGE_DIR / "ice_guard.js").read_text(encoding="utf-8")
    trusted = json.dumps(trusted_origins)
    return f"(() => {{'use strict';\nconst TRUSTED_ORIGINS = {trusted};\n{source}\n}})();"


async def _close_page(page: Page) -> None:
    with suppress(Error):
        await page.close()


async def _stop(playwright: Playwright) -> None:
    with suppress(Error, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await playwright.stop()


def _browser_pid(profile: Path) -> int | None:
    """The main process of the browser that uses `profile`."""
    mark = f"--user-data-dir={profile}"
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            line = process.cmdline()
            if mark in line and not any(part.startswith("--type=") for part in line):
                return process.pid
    return None


def _kill_group(pid: int | None, profile: Path) -> None:
    """End what is left of the browser: its process group, and helpers that left the group."""
    if pid is not None:
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != os.getpgid(0):
                os.killpg(os.getpgid(pid), signal.SIGKILL)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any(str(profile) in part for part in process.cmdline()):
                process.kill()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time."
    if "sandbox" in str(error).lower():
        return (
            "its sandbox does not work here; run as a user other than root with user namespaces, "
            "or set MEETBOT_BOT__UNSAFE_NO_SANDBOX=1 and join trusted meetings only."
        )
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    line = line.removeprefix("BrowserType.launch_persistent_context: ").strip()[:300]
    return line if line.endswith(".") else f"{line}."
