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
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from playwright.async_api import Error, Page

from bot.auto_leave import evaluate_auto_leave
from bot.browser.bridge import Bridge
from bot.browser.guard import EgressGuard
from bot.browser.launch import (
    AUDIO_ONLY_VIEWPORT,
    TAB_VIDEO_VIEWPORT,
    BrowserOptions,
    Chromium,
)
from bot.capture.recorder import Recorder
from bot.control import ControlChannel
from bot.evidence import save_evidence
from bot.hearing import Commands
from bot.joining import Joiner, JoinLimits, wait_for_change
from bot.observing import RoomObserver
from bot.platforms.driver import DriverContext
from bot.platforms.registry import driver_of
from bot.platforms.room import Entry, Room, Sight, View
from bot.racing import first_of
from bot.reporting import Reporter
from core.clock import Clock
from core.errors import (
    BotFault,
    BrowserFailed,
    JobCancelled,
    LobbyTimeout,
    MeetingError,
    NetworkLoss,
    RemovedFromMeeting,
    StaleAttempt,
    UnknownScreen,
)
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event, RecordingState
from core.jobs.spec import JobSpec
from core.network.addresses import is_trusted
from core.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
TICK_SECONDS: Final = 1.0
LEAVE_TIMEOUT_SECONDS: Final = 4.0
FLUSH_TIMEOUT_SECONDS: Final = 6.0


@dataclass(frozen=True)
class Ending:
    """How the stay ended. `failure` makes the job `failed`, `cancelled` makes it `cancelled`."""

    exit_reason: ExitReason
    failure: MeetingError | None
    cancelled: bool


class MeetingSession:
    """See the module. `join` may be called again after a retryable error."""

    def __init__(
        self, spec: JobSpec, settings: Settings, channel: ControlChannel, clock: Clock
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
        self._observer = RoomObserver(self._bridge, self._recorder, clock)
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
            await self._reporter.moved(Event.BOT_STARTED)
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
        if self._room is None or self._in_room_since is None:
            raise BotFault("Nothing can be captured before the bot is in the room.")
        room = self._room
        try:
            ending = await first_of(
                self._until_told(),
                self._until_broken(),
                self._until_over(room),
                self._until_auto_leave(),
                self._record(room),
                self._report_progress(),
            )
        except StaleAttempt:
            await self.stop(ExitReason.ERROR)
            raise
        except MeetingError as error:
            ending = Ending(ExitReason.ERROR, error, cancelled=False)
        return await self._finish(ending)

    async def stop(self, reason: ExitReason) -> Ending:
        """End the stay now; the first ending counts, whoever asks again gets it."""
        return await self._finish(Ending(reason, None, cancelled=reason is ExitReason.CANCELLED))

    # --- joining ------------------------------------------------------------------------------

    async def _enter(self) -> None:
        self._check_browser_may_go_there()
        driver = driver_of(self._spec.driver)
        chromium = await self._browser()
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
        await _any_set(chromium.gone, chromium.crashed)
        raise BrowserFailed("The browser ended unexpectedly while joining.")

    async def _until_withdrawn(self) -> None:
        await _any_set(self._reporter.stale, self._commands.asked_to_go)
        if self._reporter.stale.is_set():
            raise StaleAttempt("Another attempt holds the job.")
        await self._leave_room()
        await self._commands.settle("The bot has left the door.")
        raise JobCancelled("The job was cancelled before the bot was in the room.")

    # --- in the room --------------------------------------------------------------------------

    async def _record(self, room: Room) -> Ending:
        self._observer.recording_starts()
        await self._recorder.start()
        with suppress(Error):
            # Observation and cost get worse without these; the recording does not depend on them.
            await room.settle_in()
            if self._spec.recording.video == "off" and room.capabilities.stop_incoming_video:
                await room.stop_incoming_video()
        await self._recorder.media_captured.wait()
        await self._reporter.moved(Event.MEDIA_CAPTURED, RecordingState.RECORDING)
        return await _never()

    async def _report_progress(self) -> Ending:
        while True:
            await self._clock.sleep(TICK_SECONDS)
            await self._reporter.progress(self._recorder.progress())

    async def _until_told(self) -> Ending:
        await self._commands.asked_to_go.wait()
        if self._commands.cancels:
            return Ending(ExitReason.CANCELLED, None, cancelled=True)
        return Ending(ExitReason.LEAVE_REQUESTED, None, cancelled=False)

    async def _until_broken(self) -> Ending:
        chromium = self._chromium
        if chromium is None:
            raise BotFault("The browser is gone.")
        recorder, bridge = self._recorder, self._bridge
        await _any_set(chromium.gone, chromium.crashed, recorder.failed, bridge.faulted)
        if recorder.failure is not None:
            raise recorder.failure
        if bridge.fault is not None:
            raise BotFault(f"{type(bridge.fault).__name__}: {bridge.fault}")
        # Nothing answers any more; whoever asks the page must not wait for it.
        await bridge.detach()
        what = "browser" if chromium.gone.is_set() else "meeting page"
        raise BotFault(f"The {what} crashed during the meeting.")

    async def _until_over(self, room: Room) -> Ending:
        """Until the page says so, or has shown no room for longer than the grace time (FC-09)."""
        lost_since: float | None = None
        while True:
            self._observer.view_changed.clear()
            sight = await room.look()
            lost = _is_lost(sight)
            if sight.view is View.OVER and not lost:
                return _ending_of(sight)
            now = self._clock.monotonic()
            lost_since = (lost_since or now) if lost else None
            grace = self._settings.bot.network_grace_seconds
            if lost_since is not None and now - lost_since >= grace:
                message = f"The room was lost for {grace:g} s; the page shows {sight.evidence!r}."
                return Ending(ExitReason.NETWORK_LOSS, NetworkLoss(message), cancelled=False)
            await wait_for_change(self._observer.view_changed, LOOK_SECONDS)

    async def _until_auto_leave(self) -> Ending:
        policy = self._spec.auto_leave
        while True:
            seen = self._observer.seen(
                arrived_at=self._joiner.arrived_at, in_room_since=self._in_room_since
            )
            reason = evaluate_auto_leave(policy, seen, self._clock.monotonic())
            if reason is ExitReason.ENTRY_DELAY:
                limit = policy.after_entry_delay_seconds
                failure = LobbyTimeout(f"Nobody else came to the meeting within {limit} s.")
                return Ending(reason, failure, cancelled=False)
            if reason is not None:
                return Ending(reason, None, cancelled=False)
            await self._clock.sleep(TICK_SECONDS)

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


def _is_lost(sight: Sight) -> bool:
    if sight.view is View.OVER:
        return isinstance(sight.failure, NetworkLoss)
    return sight.view is not View.IN_ROOM


def _ending_of(sight: Sight) -> Ending:
    if isinstance(sight.failure, RemovedFromMeeting):
        return Ending(ExitReason.KICKED, sight.failure, cancelled=False)
    return Ending(ExitReason.CALL_ENDED, None, cancelled=False)


async def _any_set(*events: asyncio.Event) -> None:
    await first_of(*(_wait(event) for event in events))


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _never() -> Ending:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
