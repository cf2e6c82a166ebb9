"""Meetings without a browser, for load tests: everything but Chromium is the real thing (D13).

Only test jobs that would get a scripted room, and only where MEETBOT_SANDBOX__SIMULATED is set.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from bot.auto_leave import evaluate_auto_leave
from bot.capture.recorder import Recorder
from bot.competing import Notetakers
from bot.control import ControlChannel
from bot.endings import Ending
from bot.hearing import Commands
from bot.news import RoomNews
from bot.observing import RoomObserver
from bot.racing import any_set, first_of
from bot.recording.disk import DiskGuard
from bot.reporting import Reporter
from core.clock import Clock
from core.errors import BotFault, JobCancelled, MeetingError, StaleAttempt
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event, RecordingState
from core.jobs.spec import JobSpec
from core.settings import Settings
from flows.simulated_page import SimulatedBridge, SimulatedPage
from sandbox.script import read_script

DRIVER: Final = "simulated"
SCRIPT: Final = "conversation"
TICK_SECONDS: Final = 1.0
FLUSH_SECONDS: Final = 6.0


class SimulatedSession:
    """As `bot.session.MeetingSession`, for audio in a room that is always open."""

    def __init__(
        self, spec: JobSpec, settings: Settings, channel: ControlChannel, clock: Clock
    ) -> None:
        work_dir = settings.work_dir / spec.job_id
        audio = spec.recording.model_copy(update={"video": "off"})
        self._spec = spec.model_copy(update={"recording": audio})
        self._clock = clock
        self._bridge = SimulatedBridge(clock)
        self._reporter = Reporter(channel, clock)
        self._commands = Commands(channel, self._reporter.stale, clock)
        disk = DiskGuard(work_dir, settings.bot.min_free_mib)
        self._recorder = Recorder(self._spec, work_dir, self._bridge, clock, disk)
        news = RoomNews(clock, self._reporter.note, Notetakers(), leaving=False)
        self._observer = RoomObserver(self._bridge, self._recorder, clock, news)
        self._listener: asyncio.Task[None] | None = None
        self._page: SimulatedPage | None = None
        self._in_room_since: float | None = None
        self._ending: Ending | None = None

    async def __aenter__(self) -> Self:
        self._listener = asyncio.create_task(self._commands.listen(), name="commands")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        await self.stop(ExitReason.CANCELLED if cancelled else ExitReason.ERROR)
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def join(self) -> None:
        """Into the room, which is open.

        Raises:
            JobCancelled: the customer withdrew the job.
            StaleAttempt: another attempt holds the job.
        """
        await self._reporter.moved(Event.BOT_STARTED)
        script = await read_script(SCRIPT)
        if self._commands.asked_to_go.is_set():
            await self._commands.settle("The bot has left the door.")
            raise JobCancelled("The job was cancelled before the bot was in the room.")
        name = self._spec.display_name
        self._page = SimulatedPage(script, self._bridge, self._clock, name)
        self._in_room_since = self._clock.monotonic()
        await self._reporter.moved(Event.ADMITTED)

    async def capture(self) -> Ending:
        """Record until something ends the stay.

        Raises:
            StaleAttempt: another attempt holds the job.
        """
        if self._page is None:
            raise BotFault("Nothing can be captured before the bot is in the room.")
        try:
            ending = await first_of(
                self._until_told(),
                self._until_broken(),
                self._until_auto_leave(),
                self._record(self._page),
                self._report_progress(),
            )
        except MeetingError as error:
            ending = Ending(ExitReason.ERROR, error, cancelled=False)
        return await self._finish(ending)

    async def stop(self, reason: ExitReason) -> Ending:
        """End the stay now; the first ending counts."""
        return await self._finish(Ending(reason, None, cancelled=reason is ExitReason.CANCELLED))

    async def _record(self, page: SimulatedPage) -> Ending:
        self._observer.recording_starts()
        await self._recorder.start()
        page.enter()
        speaking = asyncio.create_task(page.speak(), name="speech")
        try:
            await self._recorder.media_captured.wait()
            await self._reporter.moved(Event.MEDIA_CAPTURED, RecordingState.RECORDING)
            await speaking
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
        raise BotFault("The simulated speech ended.")

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
        await any_set(self._recorder.failed, self._bridge.faulted, self._reporter.stale)
        if self._reporter.stale.is_set():
            raise StaleAttempt("Another attempt holds the job.")
        raise self._recorder.failure or BotFault(f"The recorder failed: {self._bridge.fault!r}")

    async def _until_auto_leave(self) -> Ending:
        while True:
            seen = self._observer.seen(
                arrived_at=self._in_room_since, in_room_since=self._in_room_since
            )
            policy = self._spec.auto_leave
            reason = evaluate_auto_leave(policy, seen, self._clock.monotonic())
            if reason is not None:
                return Ending(reason, None, cancelled=False)
            await self._clock.sleep(TICK_SECONDS)

    async def _finish(self, ending: Ending) -> Ending:
        if self._ending is not None:
            return self._ending
        self._ending = ending
        self._observer.finish()
        try:
            await self._recorder.stop(ending.exit_reason)
        except MeetingError as error:
            if ending.failure is None:
                self._ending = Ending(ExitReason.ERROR, error, ending.cancelled)
        await self._commands.settle(f"The bot has left: {ending.exit_reason}.")
        with suppress(TimeoutError, StaleAttempt):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._reporter.flush()
        return self._ending
