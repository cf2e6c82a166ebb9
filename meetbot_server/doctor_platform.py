"""`meetbot-server doctor platform`: does the driver still know the platform's page?

It opens the page as a bot does, behind the same guard, and says what of it was recognised by what.
Nothing is pressed unless the operator asks for a join.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Page
from pydantic import ValidationError
from rich.console import Console

from bot.browser.bridge import Bridge
from bot.browser.guard import EgressGuard
from bot.browser.launch import TAB_VIDEO_VIEWPORT, BrowserOptions, Chromium
from bot.capture.page_parts import page_config, page_parts
from bot.evidence import save_evidence
from bot.joining import Joiner, JoinLimits
from bot.platforms.driver import DriverContext
from bot.platforms.registry import driver_of
from bot.platforms.room import Entry, Room, View
from bot.platforms.web.inspecting import DOCTOR_PART, PageReport, inspect_page
from bot.redacting import redacted_address
from bot.visit import check_sandboxed
from core.clock import Clock
from core.errors import BadInput, MeetbotError, MeetingError
from core.jobs.spec import RecordingOptions
from core.platforms.registry import DetectionContext, detect, parse_platform, spec_of
from core.settings import Settings

FINE: Final = 0
UNKNOWN: Final = 1
OPTIONS: Final = RecordingOptions(video="off")
NAME: Final = "meetbot doctor"
# A screen that stays so long is what the page comes to.
STEADY_LOOKS: Final = 3
LOOK_SECONDS: Final = 0.5
LOBBY_SECONDS: Final = 120.0
# In the room, until media has come and people have been listed.
MEDIA_SECONDS: Final = 8.0


@dataclass(frozen=True)
class Check:
    """What an operator asks for. `url` is a meeting of theirs; None: a link to none.

    `seconds` is how long the page may take to show something known; `join`: go in, too.
    """

    platform: str
    url: str | None
    folder: Path
    seconds: float
    join: bool


async def check(settings: Settings, clock: Clock, asked: Check, console: Console) -> int:
    """Look, and tell; the exit code: 0 when the page was recognised (and joined).

    Raises:
        BadInput: there is no such platform, it has no page, or the link is not one of its own.
        MeetbotError: the browser does not start.
    """
    slug, _ = parse_platform(asked.platform)
    driver = driver_of(slug)
    if "web" not in driver.page_config:
        raise BadInput(
            f"{spec_of(slug).title} has no page with anchors; there is nothing to look at."
        )
    link = asked.url or next(iter(spec_of(slug).examples))
    if asked.join and asked.url is None:
        raise BadInput("Give the link of a meeting of yours with --url to join it.")
    context = DetectionContext(trusted_origins=settings.trusted_origins)
    url = detect(link, platform=slug, context=context).url
    check_sandboxed(settings, url, settings.trusted_origins)
    console.print(f"{spec_of(slug).title}: {redacted_address(url)}", markup=False, soft_wrap=True)
    async with _opened(settings, clock, slug, url) as (page, bridge, room):
        return await _Visit(asked, clock, console, page, bridge, room).run()


@asynccontextmanager
async def _opened(
    settings: Settings, clock: Clock, slug: str, url: str
) -> AsyncIterator[tuple[Page, Bridge, Room]]:
    """A fresh page with the driver in it, not navigated yet."""
    driver, bridge = driver_of(slug), Bridge(clock)
    async with EgressGuard(settings.trusted_origins) as guard:
        options = BrowserOptions(
            proxy_url=guard.url,
            viewport=TAB_VIDEO_VIEWPORT,
            tab_capture=False,
            trusted_origins=settings.trusted_origins,
        )
        async with Chromium(settings.bot, options) as chromium:
            page = await chromium.new_page()
            parts = [*page_parts(OPTIONS), *driver.page_parts, DOCTOR_PART]
            await bridge.attach(page, parts, {**page_config(OPTIONS), **driver.page_config})
            room = driver.room(
                DriverContext(
                    page=page,
                    bridge=bridge,
                    url=url,
                    trusted_origins=settings.trusted_origins,
                    navigation_timeout_seconds=settings.bot.navigation_timeout_seconds,
                )
            )
            try:
                yield page, bridge, room
            finally:
                await room.leave()
                await bridge.detach()


class _Visit:
    def __init__(
        self, asked: Check, clock: Clock, console: Console, page: Page, bridge: Bridge, room: Room
    ) -> None:
        self._asked = asked
        self._clock = clock
        self._console = console
        self._page = page
        self._bridge = bridge
        self._room = room

    async def run(self) -> int:
        code = FINE
        try:
            await self._room.open()
            await self._until_steady()
            if self._asked.join:
                await self._join()
        except MeetingError as error:
            self._console.print(f"[red]failed[/]  {error.failure}: {_plain(error)}", soft_wrap=True)
            code = UNKNOWN
        if not self._page.url.startswith(("http://", "https://")):
            # There is no page to tell of.
            return UNKNOWN
        report = await self._report()
        if report is None or not report.rules:
            self._console.print("[red]unknown[/] No rule of the anchors' file fits this page.")
            code = UNKNOWN
        if report is not None:
            self._tell(report)
        await self._keep(report)
        return code

    async def _until_steady(self) -> None:
        """Until the page shows the same for a while, or time is over."""
        deadline = self._clock.monotonic() + self._asked.seconds
        seen, steady = "", 0
        while steady < STEADY_LOOKS and self._clock.monotonic() < deadline:
            sight = await self._room.look()
            now = f"{sight.view} {sight.evidence}"
            steady = steady + 1 if now == seen and sight.view is not View.LOADING else 0
            seen = now
            await self._clock.sleep(LOOK_SECONDS)

    async def _join(self) -> None:
        """Into the room, through its lobby, and long enough there to see what comes."""

        async def in_lobby() -> None:
            self._console.print(f"        in the lobby; let {NAME!r} in")

        limits = JoinLimits(step_seconds=self._asked.seconds, entry_delay_seconds=LOBBY_SECONDS)
        joiner = Joiner(limits, Entry(NAME), self._clock, asyncio.Event(), in_lobby)
        await joiner.enter(self._room, opened=True)
        self._console.print("[green]ok[/]      in the room")
        await self._room.settle_in()
        await self._clock.sleep(MEDIA_SECONDS)

    async def _report(self) -> PageReport | None:
        try:
            return await inspect_page(self._bridge)
        except (MeetbotError, ValidationError):
            return None

    def _tell(self, report: PageReport) -> None:
        say = self._console.print
        for number, rule in enumerate(report.rules):
            mark = "[green]ok[/]     " if number == 0 else "       "
            say(f"{mark} rule {rule.rule}, {rule.state}: ", end="")
            say(rule.sign, markup=False, soft_wrap=True)
        for purpose, anchor in report.anchors.items():
            if anchor:
                say(f"[green]ok[/]      {purpose}: ", end="")
                say(anchor, markup=False, soft_wrap=True)
        missing = ", ".join(purpose for purpose, anchor in report.anchors.items() if not anchor)
        say(f"        not on this screen: {missing or 'nothing'}", soft_wrap=True)
        say(f"        sound: {_sound(report)}", soft_wrap=True)
        people = "not known" if report.people is None else report.people
        say(f"        people listed: {people}; title and language: ", end="")
        say(f"{report.title!r}, {report.language}", markup=False, soft_wrap=True)
        say("        texts: ", end="")
        say(report.words[:500], markup=False, soft_wrap=True)

    async def _keep(self, report: PageReport | None) -> None:
        folder = self._asked.folder
        files = list(await save_evidence(self._page, folder, "doctor"))
        if report is not None:
            text = json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False)
            await asyncio.to_thread((folder / "doctor.json").write_text, text, "utf-8")
            files.append("doctor.json")
        self._console.print(f"        kept in {folder}: {', '.join(files)}", soft_wrap=True)


def _sound(report: PageReport) -> str:
    """How voices come, as far as it can be seen from outside."""
    tracks = [track for track in report.tracks if track.kind == "audio" and track.state == "live"]
    if not tracks:
        return f"{len(report.connections)} connections, no audio tracks"
    ways = ", ".join(sorted({track.taken for track in tracks}))
    mixed = sum(1 for track in tracks if track.sources > 0)
    owners = "not known" if report.owners is None else report.owners
    return (
        f"{len(report.connections)} connections, {len(tracks)} audio tracks (taken {ways}), "
        f"{mixed} with contributing sources, owners known of {owners}"
    )


def _plain(error: MeetbotError) -> str:
    return error.message.replace("[", r"\[")
