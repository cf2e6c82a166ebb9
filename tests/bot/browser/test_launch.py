"""The browser of a meeting: found, started, missed when it dies, gone at the end (D1, D12)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from playwright.async_api import Route

from bot.browser.launch import (
    BrowserOptions,
    Chromium,
    chromium_arguments,
    find_chromium,
)
from core.errors import BrowserFailed
from core.integrations.state import StorageState
from core.settings import BotSettings
from tests.bot.browser.conftest import SETTINGS
from tests.support.accounts import signed_in

pytestmark = pytest.mark.browser

OPTIONS = BrowserOptions(proxy_url="http://127.0.0.1:9")


def test_a_configured_chromium_must_be_executable(tmp_path: Path) -> None:
    missing = tmp_path / "chromium"
    with pytest.raises(BrowserFailed, match="MEETBOT_BOT__CHROMIUM"):
        find_chromium(missing)
    missing.write_text("#!/bin/sh\n")
    missing.chmod(0o755)
    assert find_chromium(missing) == missing


def test_without_any_chromium_the_error_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrowserFailed, match="apt install chromium"):
        find_chromium(None, tmp_path / "bundled")
    (tmp_path / "bundled").write_text("")
    assert find_chromium(None, tmp_path / "bundled") == tmp_path / "bundled"


def test_everything_goes_through_the_guard() -> None:
    arguments = chromium_arguments(BotSettings(), OPTIONS)
    assert "--proxy-server=http://127.0.0.1:9" in arguments
    assert "--proxy-bypass-list=<-loopback>" in arguments
    assert not any("loopback-in-peer-connection" in argument for argument in arguments)
    assert not any("no-sandbox" in argument for argument in arguments)


async def test_a_browser_that_does_not_start_says_what_to_do(tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    settings = SETTINGS.model_copy(update={"chromium": broken})
    with pytest.raises(BrowserFailed, match="MEETBOT_BOT__CHROMIUM") as caught:
        async with Chromium(settings, OPTIONS):
            pass
    assert caught.value.retryable


async def test_a_browser_that_hangs_is_given_up(tmp_path: Path) -> None:
    hanging = tmp_path / "chromium"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    settings = SETTINGS.model_copy(update={"chromium": hanging, "start_timeout_seconds": 1.5})
    with pytest.raises(BrowserFailed, match="did not start"):
        async with Chromium(settings, OPTIONS):
            pass
    assert not _running(str(hanging))


async def test_a_sandbox_that_does_not_work_is_not_given_up_silently(tmp_path: Path) -> None:
    chromium = tmp_path / "chromium"
    chromium.write_text("#!/bin/sh\necho 'No usable sandbox! Update your kernel' >&2\nexit 1\n")
    chromium.chmod(0o755)
    with pytest.raises(BrowserFailed, match="UNSAFE_NO_SANDBOX"):
        async with Chromium(BotSettings(chromium=chromium), OPTIONS):
            pass


async def test_nothing_is_left_of_a_closed_browser() -> None:
    async with Chromium(SETTINGS, OPTIONS) as chromium:
        await chromium.new_page()
        assert chromium.pid is not None
        profile = _profile(chromium.pid)
        assert profile.is_dir()
        assert _running(str(profile))
    assert not _running(str(profile))
    assert not profile.exists()


async def test_a_lent_account_is_signed_in_from_the_first_request() -> None:
    """PL-24: its cookies are sent, and its stored items are there before the page's own scripts."""
    account = StorageState.model_validate(signed_in("zoom.us", "the session"))
    options = replace(OPTIONS, signed_in=account)
    asked: list[str | None] = []

    async def answer(route: Route) -> None:
        asked.append(await route.request.header_value("cookie"))
        page = "<script>document.title = localStorage.getItem('user') ?? 'a stranger'</script>"
        await route.fulfill(body=page, content_type="text/html")

    async with Chromium(SETTINGS, options) as chromium:
        page = await chromium.new_page()
        await page.route("**", answer)
        await page.goto("https://zoom.us/join")
        assert (asked[0], await page.title()) == ("session=the session", "the session")
        await page.goto("https://elsewhere.example/")
        assert (asked[1], await page.title()) == (None, "a stranger")
        await page.goto("https://zoom.us/join")
        await page.evaluate("localStorage.setItem('user', 'newer')")
        await page.reload()
        assert await page.title() == "newer"


async def test_a_killed_browser_is_noticed() -> None:
    async with Chromium(SETTINGS, OPTIONS) as chromium:
        await chromium.new_page()
        assert chromium.pid is not None
        os.kill(chromium.pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            await chromium.gone.wait()
        assert not chromium.alive
        with pytest.raises(BrowserFailed):
            await chromium.new_page()


async def test_a_crashed_page_is_noticed_and_replaced() -> None:
    async with Chromium(SETTINGS, OPTIONS) as chromium:
        page = await chromium.new_page()
        crash = asyncio.ensure_future(page.goto("chrome://crash"))
        async with asyncio.timeout(10):
            await chromium.crashed.wait()
        crash.cancel()
        await asyncio.gather(crash, return_exceptions=True)
        fresh = await chromium.new_page()
        assert not chromium.crashed.is_set()
        assert await fresh.evaluate("1 + 1") == 2


async def test_the_environment_stays_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEETBOT_ENCRYPTION_KEYS", "secret")
    async with Chromium(SETTINGS, OPTIONS) as chromium:
        assert chromium.pid is not None
        assert "MEETBOT_ENCRYPTION_KEYS" not in psutil.Process(chromium.pid).environ()


async def test_the_browser_dies_with_a_killed_bot() -> None:
    script = textwrap.dedent("""
        import asyncio
        from bot.browser.launch import BrowserOptions, Chromium
        from tests.bot.browser.conftest import SETTINGS

        async def main():
            async with Chromium(SETTINGS, BrowserOptions(proxy_url="http://127.0.0.1:9")) as one:
                print(one.pid, flush=True)
                await asyncio.sleep(60)

        asyncio.run(main())
    """)
    bot = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert bot.stdout is not None
    async with asyncio.timeout(30):
        pid = int(await bot.stdout.readline())
    profile = _profile(pid)
    bot.kill()
    await bot.wait()
    async with asyncio.timeout(10):
        while _running(str(profile)):
            await asyncio.sleep(0.1)


def _profile(pid: int) -> Path:
    (mark,) = [
        part for part in psutil.Process(pid).cmdline() if part.startswith("--user-data-dir=")
    ]
    return Path(mark.partition("=")[2])


def _running(mark: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any(mark in part for part in line) and process.pid != os.getpid():
            found.append(process.pid)
    return found
