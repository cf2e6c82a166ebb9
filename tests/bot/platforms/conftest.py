"""Drivers on replicas: one browser and one server for all, a context for each visit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright

from bot.browser.bridge import Bridge
from bot.browser.launch import find_chromium
from bot.capture.page_parts import page_config, page_parts
from bot.capture.recorder import Recorder
from bot.competing import Notetakers
from bot.joining import Joiner, JoinLimits
from bot.liveness import PulseSeen
from bot.news import RoomNews
from bot.observing import RoomObserver
from bot.platforms.driver import DriverContext
from bot.platforms.registry import driver_of
from bot.platforms.room import Entry, Room, Sight, View
from core.clock import SystemClock
from core.database import Database
from core.jobs.spec import JobSpec, RecordingOptions
from core.platforms.registry import DetectionContext, detect
from core.secrets import SecretBox
from tests.bot.platforms.meetings import Meetings, loopback, share_browser
from tests.bot.recording.writing import write_attempt
from tests.replicas.common.rooms import ReplicaRoom, Scenario
from tests.replicas.common.server import Replicas, running_replicas
from tests.replicas.platforms import HOSTS, ReplicaPlatform
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.lanes import children_give_way

STEP_SECONDS = 50
OPTIONS = RecordingOptions(video="off")


@dataclass
class Visitor:
    """A bot's page at a replica, driven as a session does it; `lobbies` counts lobbies told."""

    platform: ReplicaPlatform
    replica: ReplicaRoom
    room: Room
    bridge: Bridge
    observer: RoomObserver
    recorder: Recorder
    context: BrowserContext
    view_changed: asyncio.Event
    work_dir: Path
    lobbies: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def page(self) -> Any:
        return self.context.pages[0]

    async def enter(
        self,
        *,
        password: str | None = None,
        entry_delay: float = 30,
        step_seconds: float = STEP_SECONDS,
        name: str = "Notes of Ada",
    ) -> None:
        """The way in that all platforms share."""

        async def in_lobby() -> None:
            self.lobbies += 1

        joiner = Joiner(
            JoinLimits(step_seconds=step_seconds, entry_delay_seconds=entry_delay),
            Entry(name, password),
            SystemClock(),
            self.view_changed,
            in_lobby,
        )
        await joiner.enter(self.room)

    async def until_over(self, seconds: float = 40) -> Sight:
        """What the page shows when the stay has ended."""
        async with asyncio.timeout(seconds):
            while (sight := await self.room.look()).view is not View.OVER:
                await asyncio.sleep(0.05)
        return sight


class Visits:
    """Makes visitors; their pages are closed at the end of the test."""

    def __init__(self, browser: Browser, replicas: Replicas, folder: Path) -> None:
        self.replicas = replicas
        self._browser = browser
        self._folder = folder
        self.contexts: list[BrowserContext] = []

    async def make(
        self, platform: ReplicaPlatform, scenario: Scenario, options: RecordingOptions = OPTIONS
    ) -> Visitor:
        name, replica = self.replicas.make(platform, scenario)
        url = detect(platform.url.format(room=name), context=DetectionContext()).url
        context = await self._browser.new_context(
            bypass_csp=True, ignore_https_errors=True, locale="en-US"
        )
        self.contexts.append(context)
        page = await context.new_page()
        clock = SystemClock()
        bridge = Bridge(clock)
        work_dir = self._folder / name
        recorder = Recorder(_spec(platform, url, options), work_dir, bridge, clock)
        news = RoomNews(clock, lambda *_: None, Notetakers(()), leaving=False)
        observer = RoomObserver(bridge, recorder, clock, news)
        # A session watches the page's pulse; a visit is over before it would matter.
        bridge.on("pulse", PulseSeen, lambda _: None)
        driver = driver_of(platform.slug)
        config = {**page_config(options), **driver.page_config}
        await bridge.attach(page, [*page_parts(options), *driver.page_parts], config)
        room = driver.room(
            DriverContext(
                page=page,
                bridge=bridge,
                url=url,
                trusted_origins=(platform.origin,),
                navigation_timeout_seconds=STEP_SECONDS,
                resolver=loopback,
            )
        )
        return Visitor(
            platform,
            replica,
            room,
            bridge,
            observer,
            recorder,
            context,
            observer.view_changed,
            work_dir,
        )


def _spec(platform: ReplicaPlatform, url: str, options: RecordingOptions) -> JobSpec:
    return JobSpec(
        job_id="job_01HXY1AB7M2QNTWA9YQRH5JEP6",
        fence=1,
        platform=platform.slug,
        driver=platform.slug,
        meeting_url=url,
        room_url=url,
        display_name="Notes of Ada",
        livemode=True,
        recording=options,
    )


@pytest.fixture(scope="session")
async def replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    async with running_replicas(HOSTS, tmp_path_factory.mktemp("replicas")) as running:
        yield running


@pytest.fixture(scope="session")
async def replica_browser(replicas: Replicas) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(None, Path(playwright.chromium.executable_path)),
            args=["--no-sandbox", *replicas.browser_arguments],
        )
        children_give_way()
        yield browser
        await browser.close()


@pytest.fixture
async def visits(
    replica_browser: Browser, replicas: Replicas, tmp_path: Path
) -> AsyncIterator[Visits]:
    visits = Visits(replica_browser, replicas, tmp_path)
    yield visits
    await asyncio.gather(*(context.close() for context in visits.contexts))


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The work folder of a meeting of so many seconds; each is made once."""
    made: dict[int, Path] = {}
    making = Lock()
    folder = tmp_path_factory.mktemp("recorded")

    def make(seconds: int) -> Path:
        with making:
            if seconds not in made:
                write_attempt(folder / str(seconds), seconds=seconds)
                made[seconds] = folder / str(seconds)
        return made[seconds]

    return make


@pytest.fixture
async def meetings(
    replica_browser: Browser,
    replicas: Replicas,
    recorded: Callable[[int], Path],
    database: Database,
    box: SecretBox,
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Meetings:
    share_browser(replica_browser, monkeypatch)
    return Meetings(replicas, await JobBook.open(database, box, clock), tmp_path, recorded)
