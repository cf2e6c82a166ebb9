"""One bot in one meeting: browser, page, recorder and control channel as one block.

    async with MeetingSession(spec, settings, channel, clock) as session:
        await session.join()
        ending = await session.capture()

Leaving the block always stops the recorder, leaves the meeting and ends the browser.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self

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
from bot.competing import Notetakers
from bot.control import ControlChannel
from bot.evidence import save_evidence
from bot.hearing import Commands
from bot.joining import Joiner, JoinLimits
from bot.news import RoomNews
from bot.objects import JobObjects
from bot.observing import RoomObserver
from bot.platforms.driver import DriverContext
from bot.platforms.registry import driver_of
from bot.platforms.room import Entry, Room
from bot.racing import any_set, first_of
from bot.reporting import Reporter
from bot.staying import Ending as Ending
from bot.staying import Equipment, Stay
from bot.switching import RecordingSwitch
from bot.verbs import Performer
from core.clock import Clock
from core.errors import (
    BotFault,
    BrowserFailed,
    JobCancelled,
    MeetingError,
    StaleAttempt,
    UnknownScreen,
)
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event
from core.jobs.spec import JobSpec
from core.network.addresses import is_trusted
from core.settings import Settings
from core.storage.base import Storage

log = logging.getLogger(__name__)

LEAVE_TIMEOUT_SECONDS: Final = 4.0
FLUSH_TIMEOUT_SECONDS: Final = 6.0


class MeetingSession:
    """See the module. `join` may be called again after a retryable error.

    `storage` is the job's: what the bot is told to say or show is there, its screenshots go there.
    """

    def __init__(
        self,
        spec: JobSpec,
        settings: Settings,
        channel: ControlChannel,
        clock: Clock,
        storage: Storage | None = None,
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._clock = clock
        self._work_dir = settings.work_dir / spec.job_id
        self._trusted = _trusted_origins(spec, settings)
        self._reporter = Reporter(channel, clock)
        self._commands = Commands(channel, self._reporter.stale, clock)
        self._bridge = Bridge(clock)
        self._recorder = Recorder(spec, self._work_dir, self._bridge, clock)
        news = RoomNews(
            clock,
            self._reporter.note,
            Notetakers(settings.bot.competing_bots),
            leaving=spec.auto_leave.on_bot_detected,
        )
        self._observer = RoomObserver(self._bridge, self._recorder, clock, news)
        self._equipment = Equipment(
            spec=spec,
            clock=clock,
            bridge=self._bridge,
            recorder=self._recorder,
            observer=self._observer,
            reporter=self._reporter,
            commands=self._commands,
            performer=Performer(
                self._commands,
                RecordingSwitch(self._recorder, self._observer, self._reporter),
                self._observer.roster,
                news,
                JobObjects(storage, spec.job_id),
                clock,
            ),
        )
        self._joiner = Joiner(
            JoinLimits(
                step_seconds=settings.bot.join_timeout_seconds,
                entry_delay_seconds=spec.auto_leave.after_entry_delay_seconds,
            ),
            Entry(
                spec.display_name,
                spec.meeting_password.get_secret_value() if spec.meeting_password else None,
            ),
            clock,
            self._observer.view_changed,
            self._lobby_shown,
        )
        self._guard = EgressGuard(self._trusted)
        self._stack = AsyncExitStack()
        self._launching: asyncio.Task[Chromium] | None = None
        self._chromium: Chromium | None = None
        self._page: Page | None = None
        self._room: Room | None = None
        self._attempts = 0
        self._in_lobby = False
        self._in_room_since: float | None = None
        self._ending: Ending | None = None
        self._stopping = asyncio.Lock()

    async def __aenter__(self) -> Self:
        try:
            await self._stack.enter_async_context(self._guard)
            listener = asyncio.create_task(self._commands.listen(), name="commands")
            self._stack.push_async_callback(_cancel, listener)
            # It takes a second: meanwhile the job store is told and the flow goes on.
            self._launching = asyncio.create_task(self._browser(), name="browser")
            await self._reporter.moved(Event.BOT_STARTED)
        except BaseException:
            await self._close_browser()
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        try:
            await self.stop(ExitReason.CANCELLED if cancelled else ExitReason.ERROR)
        finally:
            await self._close_browser()
            await self._stack.aclose()

    async def join(self) -> None:
        """Get into the room: one attempt, with a fresh page and a browser if there is none.

        Raises:
            MeetingError: what kept the bot out; worth another call when `retryable`.
            JobCancelled: the customer withdrew the job; the bot is gone from the door.
            StaleAttempt: another attempt holds the job.
        """
        self._attempts += 1
        if self._in_lobby:
            self._in_lobby = False
            await self._reporter.moved(Event.RETRYING)
        try:
            await first_of(self._until_withdrawn(), self._enter())
        except BaseException:
            await self._leave_room()
            raise
        self._in_room_since = self._clock.monotonic()
        await self._reporter.moved(Event.ADMITTED)

    async def capture(self) -> Ending:
        """Record until something ends the stay.

        Raises:
            StaleAttempt: another attempt holds the job; the bot has left.
        """
        room, chromium, since = self._room, self._chromium, self._in_room_since
        if room is None or chromium is None or since is None:
            raise BotFault("Nothing can be captured before the bot is in the room.")
        stay = Stay(
            self._equipment,
            room,
            chromium,
            arrived_at=self._joiner.arrived_at,
            in_room_since=since,
            network_grace_seconds=self._settings.bot.network_grace_seconds,
        )
        try:
            ending = await stay.until_over()
        except StaleAttempt:
            await self.stop(ExitReason.ERROR)
            raise
        return await self._finish(ending)

    async def stop(self, reason: ExitReason) -> Ending:
        """End the stay now; the first ending counts, whoever asks again gets it."""
        return await self._finish(Ending(reason, None, cancelled=reason is ExitReason.CANCELLED))

    # --- joining ------------------------------------------------------------------------------

    async def _enter(self) -> None:
        self._check_browser_may_go_there()
        driver = driver_of(self._spec.driver)
        launching, self._launching = self._launching, None
        chromium = await (launching or self._browser())
        page = self._page = await chromium.new_page()
        options = self._spec.recording
        await self._bridge.attach(
            page,
            [*Recorder.page_parts(options), *driver.page_parts],
            Recorder.page_config(options),
        )
        room = self._room = driver.room(
            DriverContext(
                page=page,
                bridge=self._bridge,
                url=self._spec.room_url,
                trusted_origins=self._trusted,
                navigation_timeout_seconds=self._settings.bot.navigation_timeout_seconds,
            )
        )
        try:
            await first_of(self._until_browser_dies(chromium), self._joiner.enter(room))
        except UnknownScreen as error:
            folder = self._work_dir / "evidence"
            files = await save_evidence(page, folder, f"join-{self._spec.fence}-{self._attempts}")
            raise UnknownScreen(f"{error.message} Evidence: {', '.join(files)}.") from error

    async def _browser(self) -> Chromium:
        """The meeting's browser; a new one when it died."""
        if self._chromium is not None and not self._chromium.alive:
            await self._close_browser()
        if self._chromium is None:
            options = self._spec.recording
            browser = Chromium(
                self._settings.bot,
                BrowserOptions(
                    proxy_url=self._guard.url,
                    viewport=AUDIO_ONLY_VIEWPORT if options.video == "off" else TAB_VIDEO_VIEWPORT,
                    tab_capture=options.video == "tab",
                    trusted_origins=self._trusted,
                ),
            )
            self._chromium = await browser.__aenter__()
        return self._chromium

    async def _close_browser(self) -> None:
        launching, self._launching = self._launching, None
        if launching is not None:
            launching.cancel()
            await asyncio.gather(launching, return_exceptions=True)
        chromium, self._chromium, self._room = self._chromium, None, None
        await self._bridge.detach()
        if chromium is not None:
            await chromium.__aexit__(None, None, None)

    def _check_browser_may_go_there(self) -> None:
        """Without Chromium's own sandbox only our own and trusted pages are opened (D12)."""
        unsafe = self._settings.bot.unsafe_no_sandbox
        if unsafe and not is_trusted(self._spec.room_url, self._trusted):
            raise BotFault(
                "MEETBOT_BOT__UNSAFE_NO_SANDBOX is set: the browser runs without its sandbox and "
                "joins trusted origins only. Run the bot as a user other than root without it."
            )

    async def _lobby_shown(self) -> None:
        self._in_lobby = True
        await self._reporter.moved(Event.LOBBY_SHOWN)

    async def _until_browser_dies(self, chromium: Chromium) -> None:
        await any_set(chromium.gone, chromium.crashed)
        raise BrowserFailed("The browser ended unexpectedly while joining.")

    async def _until_withdrawn(self) -> None:
        await any_set(self._reporter.stale, self._commands.asked_to_go)
        if self._reporter.stale.is_set():
            raise StaleAttempt("Another attempt holds the job.")
        await self._leave_room()
        await self._commands.settle("The bot has left the door.")
        raise JobCancelled("The job was cancelled before the bot was in the room.")

    # --- the end ------------------------------------------------------------------------------

    async def _finish(self, ending: Ending) -> Ending:
        async with self._stopping:
            if self._ending is not None:
                return self._ending
            self._observer.finish()
            _, stopped = await asyncio.gather(
                self._leave_room(), self._recorder.stop(ending.exit_reason), return_exceptions=True
            )
            if isinstance(stopped, MeetingError) and ending.failure is None:
                ending = Ending(ExitReason.ERROR, stopped, ending.cancelled)
            elif isinstance(stopped, Exception):
                log.error("The recorder did not stop cleanly: %r", stopped)
            self._ending = ending
            await self._tell_the_rest(ending)
            return ending

    async def _tell_the_rest(self, ending: Ending) -> None:
        await self._commands.settle(f"The bot has left: {ending.exit_reason}.")
        with suppress(TimeoutError, StaleAttempt):
            async with asyncio.timeout(FLUSH_TIMEOUT_SECONDS):
                await self._reporter.flush()

    async def _leave_room(self) -> None:
        """Out of the room, or away from the door; never raises."""
        room, self._room = self._room, None
        if room is None:
            return
        with suppress(Error, MeetingError, TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_SECONDS):
                await room.leave()


def _trusted_origins(spec: JobSpec, settings: Settings) -> tuple[str, ...]:
    """Where this bot may go without https and public addresses (design.md D13)."""
    own = (settings.sandbox.origin,) if spec.driver == "sandbox" else ()
    return (*settings.trusted_origins, *own)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
