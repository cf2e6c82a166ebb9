"""Reports to the job store that survive its absence: events wait in order, progress does not."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from bot.control import (
    CompetingBotSeen,
    ConsentAnswered,
    ControlChannel,
    Moved,
    Progress,
    Report,
)
from core.clock import Clock
from core.errors import InvalidState, MeetbotError, StaleAttempt
from core.jobs.lifecycle import Event, RecordingState

log = logging.getLogger(__name__)

REPORT_TIMEOUT_SECONDS: Final = 5.0
# What may wait for an absent store, besides the few events of a job's life.
MAX_NOTES: Final = 1000


class Reporter:
    """Tells the job store; `stale` is set when a newer attempt holds the job.

    While the store is away the bot goes on (design.md D10): events are kept and told later, in
    their order. `recording_state` is the last that was told, or waits to be told.
    """

    def __init__(self, channel: ControlChannel, clock: Clock) -> None:
        self.stale = asyncio.Event()
        self._channel = channel
        self._clock = clock
        self.recording_state = RecordingState.NOT_STARTED
        self.recording_begun = asyncio.Event()
        self._backlog: deque[Moved | ConsentAnswered | CompetingBotSeen] = deque()
        self._retrying = False
        self._lock = asyncio.Lock()

    def recall(self, state: RecordingState) -> None:
        """What an earlier attempt told of the recording, when it had begun."""
        self.recording_state = state
        self.recording_begun.set()

    async def moved(self, event: Event, recording_state: RecordingState | None = None) -> None:
        """The job's life went on.

        Raises:
            StaleAttempt: a newer attempt holds the job.
            InvalidState: the job cannot take this event any more.
        """
        self._backlog.append(Moved(event, self._clock.now(), recording_state))
        if recording_state is not None:
            self.recording_state = recording_state
        if event is Event.MEDIA_CAPTURED:
            self.recording_begun.set()
        await self.flush()

    def note(self, report: ConsentAnswered | CompetingBotSeen) -> None:
        """Something that was seen in the room; told with what is told next, within a second."""
        if len(self._backlog) < MAX_NOTES:
            self._backlog.append(report)

    async def progress(self, progress: Progress) -> None:
        """A snapshot; lost when the store is away.

        Raises:
            StaleAttempt: a newer attempt holds the job.
        """
        if await self.flush():
            async with self._lock:
                await self._send(progress)

    async def flush(self) -> bool:
        """Tell what is waiting; False when the store is still away."""
        async with self._lock:
            while self._backlog:
                try:
                    if not await self._send(self._backlog[0]):
                        self._retrying = True
                        return False
                except InvalidState:
                    report = self._backlog.popleft()
                    # An answer that was lost: the store has this event already.
                    if isinstance(report, Moved) and not self._retrying:
                        raise
                    log.warning("The job store refused the repeated report %s.", report)
                    continue
                except asyncio.CancelledError:
                    # Nobody knows whether it arrived.
                    self._retrying = True
                    raise
                self._retrying = False
                self._backlog.popleft()
        return True

    async def _send(self, report: Report) -> bool:
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_SECONDS):
                await self._channel.report(report)
        except StaleAttempt:
            self.stale.set()
            raise
        except TimeoutError:
            log.warning("The job store did not take a report in time.")
            return False
        except MeetbotError as error:
            if not error.retryable:
                raise
            log.warning("The job store could not be told: %s", error.message)
            return False
        return True
