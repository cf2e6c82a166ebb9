"""`meetbot-server doctor`: what this machine has, what is missing, and how to get it.

Order for everything: what is there, else apt when root, else what a package of ours can fetch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright
from rich.console import Console

from bot.browser.launch import find_chromium
from core.errors import MeetbotError
from core.media import ffmpeg_path
from core.postgres import find_binaries
from core.settings import Settings

INSTALL_SECONDS: Final = 900


@dataclass(frozen=True)
class Need:
    """A program that a stack runs. `find` raises or returns None when it is missing.

    `recipes` are tried in order; `by_hand` is what a person types when none of them worked.
    """

    name: str
    find: Callable[[], Path | None]
    recipes: Sequence[Sequence[str]]
    by_hand: str


def examine(settings: Settings, *, install: bool) -> int:
    """Print one line per need. Returns the exit code: 0 when everything is there."""
    console = Console(highlight=False)
    missing = 0
    for need in _needs(settings):
        path = _look(need)
        if path is None and install:
            path = _install(need, console)
        if path is None:
            missing += 1
            console.print(f"[red]missing[/] {need.name}. Get it with: {need.by_hand}")
        else:
            console.print(f"[green]ok[/]      {need.name}: {path}", soft_wrap=True)
    return 1 if missing else 0


def _needs(settings: Settings) -> list[Need]:
    playwright = [sys.executable, "-m", "playwright", "install"]
    return [
        Need(
            "Chromium",
            lambda: find_chromium(settings.bot.chromium, _playwrights_own()),
            [*_apt("chromium"), [*playwright, "chromium"]],
            "apt install chromium, or playwright install --with-deps chromium, "
            "or point MEETBOT_BOT__CHROMIUM at a Chromium",
        ),
        Need(
            "ffmpeg",
            lambda: Path(ffmpeg_path()),
            _apt("ffmpeg"),
            "apt install ffmpeg, or brew install ffmpeg",
        ),
        Need(
            "PostgreSQL",
            find_binaries,
            _apt("postgresql"),
            "apt install postgresql, or brew install postgresql, "
            "or set MEETBOT_DATABASE_URL to a server",
        ),
    ]


def _playwrights_own() -> Path:
    """Where `playwright install chromium` puts its Chromium."""
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


def _apt(*packages: str) -> list[list[str]]:
    """The apt recipe, where it can work."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return []
    install = (
        f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {' '.join(packages)}"
    )
    return [["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", install]]


def _look(need: Need) -> Path | None:
    try:
        return need.find()
    except MeetbotError:
        return None


def _install(need: Need, console: Console) -> Path | None:
    for recipe in need.recipes:
        console.print(f"installing {need.name}: {' '.join(recipe)}")
        try:
            done = subprocess.run(  # noqa: S603 - the recipes above
                recipe, check=False, capture_output=True, text=True, timeout=INSTALL_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            console.print(f"  {error}")
            continue
        if done.returncode != 0:
            console.print(f"  failed: {done.stderr.strip()[-500:]}")
        path = _look(need)
        if path is not None:
            return path
    return None
