"""One bot in one meeting: browser, page, recorder and control channel as one block.

    async with MeetingSession(spec, settings, channel, clock) as session:
        await session.join()
        ending = await session.capture()

Entering it starts the browser; before `joinAt` the meeting's door is opened, too, where nobody
notices, and nothing is told until `join` (D11). Leaving the block always stops the recorder, leaves
the meeting and ends the browser.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self

from playwright.async_api import Page

from bot.browser.bridge import Bridge
from bot.browser.guard import EgressGuard
from bot.browser.launch import Chromium
from bot.capture.recorder import Recorder
from bot.competing import Notetakers
from bot.control import ControlChannel
from bot.endings import Ending as Ending
from bot.endings import Lost
from bot.engines import visit_of, with_engine
from bot.hearing import Commands
from bot.joining import Joiner, JoinLimits
from bot.liveness import Liveness
from bot.news import RoomNews
from bot.objects import JobObjects
from bot.observing import RoomObserver
from bot.platforms.room import Entry, Room
from bot.racing import any_set, first_of
from bot.recording.disk import DiskGuard
from bot.recording.journal import write_ending
from bot.reporting import Reporter
from bot.returning import READMISSION_SECONDS, Past, Returner, ReturnLimits
from bot.staying import Equipment, Stay, report_progress, until_told
from bot.switching import RecordingSwitch
from bot.verbs import Performer
from core.clock import Clock, epoch_ms
from core.errors import BotFault, JobCancelled, MeetingError, StaleAttempt
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event, RecordingState, Status
from core.jobs.spec import JobSpec
from core.recordings.journal import Open
from core.settings import Settings
from core.storage.base import Storage

log = logging.getLogger(__name__)

FLUSH_TIMEOUT_SECONDS: Final = 6.0
DIED: Final = "the bot's process died"


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
        past: Past | None = None,
        storage: Storage | None = None,
    ) -> None:
        self._past = past or Past()
        spec = self._spec = with_engine(spec, settings)
        self._settings = settings
        self._clock = clock
        self._work_dir = settings.work_dir / spec.job_id
        self._trusted = _trusted_origins(spec, settings)
        self._reporter = Reporter(channel, clock)
        self._commands = Commands(channel, self._reporter.stale, clock)
        self._bridge = Bridge(clock)
        disk = DiskGuard(self._work_dir, settings.bot.min_free_mib)
        self._recorder = Recorder(spec, self._work_dir, self._bridge, clock, disk)
        self._recorder.recorded_before_seconds = self._past.recorded_seconds
        news = RoomNews(
            clock,
            self._reporter.note,
            Notetakers(settings.bot.competing_bots),
            leaving=spec.auto_leave.on_bot_detected,
        )
        self._observer = RoomObserver(
            self._bridge, self._recorder, clock, news, bot_name=spec.display_name
        )
        self._observer.recall(self._past.participants)
        self._equipment = Equipment(
            spec=spec,
            clock=clock,
            bridge=self._bridge,
            recorder=self._recorder,
            observer=self._observer,
            reporter=self._reporter,
            commands=self._commands,
            liveness=Liveness(self._bridge, self._observer.unmuted, clock),
            performer=Performer(
                self._commands,
                RecordingSwitch(self._recorder, self._observer, self._reporter),
                self._observer.roster,
                news,
                JobObjects(storage, spec.job_id),
                clock,
            ),
        )
        entry_delay = spec.auto_leave.after_entry_delay_seconds
        self._joiner = self._make_joiner(entry_delay, self._lobby_shown)
        self._returner = Returner(
            self._enter_again, ReturnLimits(settings.bot.network_grace_seconds), clock
        )
        self._guard = EgressGuard(self._trusted)
        self._visit = visit_of(spec, settings, self._bridge, self._guard, self._trusted, clock)
        self._stack = AsyncExitStack()
        self._begun = False
        self._in_lobby = False
        self._in_room_since: float | None = None
        # Why nothing was recorded right before this attempt; None for the first in the room.
        self._gap = DIED if self._past.in_call else None
        self._media_told = self._past.recording_state is not RecordingState.NOT_STARTED
        # How the return of the bot ended, when it did not end in the room.
        self._stayed_out: Ending | None = None
        self._ending: Ending | None = None
        self._stopping = asyncio.Lock()

    async def __aenter__(self) -> Self:
        try:
            await self._stack.enter_async_context(self._guard)
            listener = asyncio.create_task(self._commands.listen(), name="commands")
            self._stack.push_async_callback(_cancel, listener)
            # It takes a second: meanwhile the job store is told and the flow goes on.
            due = self._spec.join_at
            early = due is not None and due > self._clock.now()
            self._visit.make_ready(early=early)
            if not early:
                await self._begin()
        except BaseException:
            await self._visit.close()
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
            await self._visit.close()
            await self._stack.aclose()

    async def _begin(self) -> None:
        """Tell the job store, once. A bot that gets ready ahead of its time is silent (API-54)."""
        if self._begun:
            return
        self._begun = True
        if self._past.status is Status.QUEUED:
            await self._reporter.moved(Event.BOT_STARTED)
        elif self._past.status is Status.ENTERING_LOBBY:
            await self._reporter.moved(Event.RETRYING)

    async def join(self) -> None:
        """Get into the room: one attempt, with a fresh page and a browser if there is none.

        A bot that had been in the room before makes all its attempts to return here; when none
        brings it back, `capture` says how that ended.

        Raises:
            MeetingError: what kept the bot out; worth another call when `retryable`.
            JobCancelled: the customer withdrew the job; the bot is gone from the door.
            StaleAttempt: another attempt holds the job.
        """
        await self._begin()
        if self._past.in_call:
            self._in_room_since = self._arrived_before()
            await self._take_up_recording()
            self._stayed_out = await self._go_back(Lost(DIED, self._clock.monotonic()))
            return
        if self._in_lobby:
            self._in_lobby = False
            await self._reporter.moved(Event.RETRYING)
        try:
            await first_of(self._until_withdrawn(), self._visit.enter(self._joiner))
        except JobCancelled:
            # Nobody looks at the page any more: what it shows of the bot's going decides nothing.
            await self._visit.leave()
            await self._commands.settle("The bot has left the door.")
            raise
        except BaseException:
            await self._visit.leave()
            raise
        self._in_room_since = self._clock.monotonic()
        await self._reporter.moved(Event.ADMITTED)

    async def capture(self) -> Ending:
        """Record until something ends the stay; fall out of the room, and the bot goes back in.

        Raises:
            StaleAttempt: another attempt holds the job; the bot has left.
        """
        try:
            ending = self._stayed_out
            while ending is None:
                outcome = await self._stay()
                if isinstance(outcome, Ending):
                    ending = outcome
                else:
                    ending = await self._come_back(outcome)
        except StaleAttempt:
            await self.stop(ExitReason.ERROR)
            raise
        return await self._finish(ending)

    async def _stay(self) -> Ending | Lost:
        room, since = self._visit.room, self._in_room_since
        if room is None or since is None:
            raise BotFault("Nothing can be captured before the bot is in the room.")
        stay = Stay(
            self._equipment,
            room,
            self._visit.until_broken,
            arrived_at=self._joiner.arrived_at or since,
            in_room_since=since,
            network_grace_seconds=self._settings.bot.network_grace_seconds,
            gap=self._gap,
            media_told=self._media_told,
        )
        try:
            return await stay.until_over()
        finally:
            self._media_told = stay.media_told

    async def stop(self, reason: ExitReason) -> Ending:
        """End the stay now; the first ending counts, whoever asks again gets it."""
        return await self._finish(Ending(reason, None, cancelled=reason is ExitReason.CANCELLED))

    @property
    def _chromium(self) -> Chromium | None:
        return self._visit.chromium

    @property
    def _room(self) -> Room | None:
        return self._visit.room

    @property
    def _page(self) -> Page | None:
        return self._visit.page

    # --- joining ------------------------------------------------------------------------------

    def _make_joiner(self, entry_delay: float, on_lobby: Callable[[], Awaitable[None]]) -> Joiner:
        spec = self._spec
        password = spec.meeting_password
        return Joiner(
            JoinLimits(
                step_seconds=self._settings.bot.join_timeout_seconds,
                entry_delay_seconds=entry_delay,
            ),
            Entry(spec.display_name, password.get_secret_value() if password else None),
            self._clock,
            self._observer.view_changed,
            on_lobby,
        )

    async def _lobby_shown(self) -> None:
        self._in_lobby = True
        await self._reporter.moved(Event.LOBBY_SHOWN)

    async def _until_withdrawn(self) -> None:
        await any_set(self._reporter.stale, self._commands.asked_to_go)
        if self._reporter.stale.is_set():
            raise StaleAttempt("Another attempt holds the job.")
        raise JobCancelled("The job was cancelled before the bot was in the room.")

    # --- coming back ---------------------------------------------------------------------------

    async def _come_back(self, lost: Lost) -> Ending | None:
        """Out of the room by accident: go back in; None once the bot is there."""
        log.warning("The bot fell out of the room: %s.", lost.reason)
        if lost.answers:
            # Nobody should see two bots.
            await self._visit.leave()
        await self._visit.close(politely=lost.answers)
        self._recorder.lost(lost.reason, lost.since)
        return await self._go_back(lost)

    async def _go_back(self, lost: Lost) -> Ending | None:
        try:
            return await first_of(
                until_told(self._commands),
                report_progress(self._equipment),
                self._returner.come_back(lost),
            )
        except MeetingError as error:
            # The disk failed meanwhile.
            return Ending(ExitReason.ERROR, error, cancelled=False)

    async def _enter_again(self) -> None:
        """One attempt; the host may take less time than for a stranger."""
        limit = min(self._spec.auto_leave.after_entry_delay_seconds, READMISSION_SECONDS)
        try:
            await self._visit.enter(self._make_joiner(limit, _nobody_is_told))
        except MeetingError:
            await self._visit.leave()
            raise

    async def _take_up_recording(self) -> None:
        """A recording that was paused or stopped stays so (LC-05)."""
        state = self._past.recording_state
        if state is not RecordingState.NOT_STARTED:
            self._reporter.recall(state)
        if state in {RecordingState.PAUSED, RecordingState.STOPPED}:
            await self._recorder.pause()

    def _arrived_before(self) -> float:
        """When the first attempt began to record, on this process's clock (LC-29)."""
        now = self._clock.monotonic()
        if self._past.began_at is None:
            return now
        return now - max(0.0, (self._clock.now() - self._past.began_at).total_seconds())

    # --- the end ------------------------------------------------------------------------------

    async def _finish(self, ending: Ending) -> Ending:
        async with self._stopping:
            if self._ending is not None:
                return self._ending
            self._observer.finish()
            _, stopped = await asyncio.gather(
                self._go(ending), self._recorder.stop(ending.exit_reason), return_exceptions=True
            )
            if isinstance(stopped, MeetingError) and ending.failure is None:
                ending = Ending(ExitReason.ERROR, stopped, ending.cancelled)
            elif isinstance(stopped, Exception):
                log.error("The recorder did not stop cleanly: %r", stopped)
            stale = self._reporter.stale.is_set()
            if self._past.in_call and not self._recorder.started and not stale:
                await asyncio.to_thread(self._note_ending, ending)
            self._ending = ending
            await self._tell_the_rest(ending)
            return ending

    async def _go(self, ending: Ending) -> None:
        """Out of the room; what it showed is kept when it is why the bot goes."""
        wrong = ending.failure is not None and ending.exit_reason is not ExitReason.ENTRY_DELAY
        if wrong and self._visit.room is not None:
            await self._visit.keep_evidence("stay")
        await self._visit.leave()

    def _note_ending(self, ending: Ending) -> None:
        """What the next attempt delivers says how it ended, should this one die now."""
        opened = Open(
            job_id=self._spec.job_id, fence=self._spec.fence, t0_ms=epoch_ms(self._clock.now())
        )
        with suppress(MeetingError):
            write_ending(self._work_dir, opened, ending.exit_reason)

    async def _tell_the_rest(self, ending: Ending) -> None:
        await self._commands.settle(f"The bot has left: {ending.exit_reason}.")
        with suppress(TimeoutError, StaleAttempt):
            async with asyncio.timeout(FLUSH_TIMEOUT_SECONDS):
                await self._reporter.flush()


def _trusted_origins(spec: JobSpec, settings: Settings) -> tuple[str, ...]:
    """Where this bot may go without https and public addresses (design.md D13)."""
    own = (settings.sandbox.origin,) if spec.driver == "sandbox" else ()
    return (*settings.trusted_origins, *own)


async def _nobody_is_told() -> None:
    """A lobby on the way back changes no status (D10)."""


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
