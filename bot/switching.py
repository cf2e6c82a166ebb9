"""Recording on and off while the bot stays in the room: pause, resume, stop, start (LC-05)."""

from __future__ import annotations

import asyncio
from typing import Final

from bot.capture.recorder import Recorder
from bot.observing import RoomObserver
from bot.reporting import Reporter
from core.errors import InvalidState
from core.jobs.lifecycle import Event, RecordingState

# How long a command waits for the first media of a bot that has just come in.
BEGIN_SECONDS: Final = 10.0


class RecordingSwitch:
    """Every method is idempotent: where the state holds already, nothing is done or told.

    A stopped recording is a paused one that the job's status tells of: in files, manifest and
    bill the time until the next start is a pause.
    """

    def __init__(self, recorder: Recorder, observer: RoomObserver, reporter: Reporter) -> None:
        self._recorder = recorder
        self._observer = observer
        self._reporter = reporter

    async def pause(self) -> None:
        """Nothing is recorded until `resume`.

        Raises:
            InvalidState: nothing is being recorded.
            MeetingError: the recorder failed.
        """
        state = await self._state()
        if state is RecordingState.STOPPED:
            raise InvalidState("The recording is stopped, so it cannot be paused.")
        if state is RecordingState.RECORDING:
            await self._off()
            await self._reporter.moved(Event.RECORDING_PAUSED, RecordingState.PAUSED)

    async def resume(self) -> None:
        """Record on after a pause. Raises as `pause` does."""
        state = await self._state()
        if state is RecordingState.STOPPED:
            raise InvalidState("The recording is stopped; start it with start-recording.")
        if state is RecordingState.PAUSED:
            await self._recorder.resume()
            await self._reporter.moved(Event.RECORDING_RESUMED, RecordingState.RECORDING)

    async def stop(self) -> None:
        """Record no more until `start`; the bot stays. Raises as `pause` does."""
        if await self._state() is not RecordingState.STOPPED:
            await self._off()
            await self._reporter.moved(Event.RECORDING_STOPPED, RecordingState.STOPPED)

    async def start(self) -> None:
        """Record again after a stop, in the same attempt. Raises as `pause` does."""
        state = await self._state()
        if state is RecordingState.PAUSED:
            raise InvalidState("The recording is paused; go on with resume-recording.")
        if state is RecordingState.STOPPED:
            await self._recorder.resume()
            await self._reporter.moved(Event.MEDIA_CAPTURED, RecordingState.RECORDING)

    async def _off(self) -> None:
        self._observer.pause()
        await self._recorder.pause()

    async def _state(self) -> RecordingState:
        """What the job was told last; what comes before the first media has to wait for it."""
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                await self._reporter.recording_begun.wait()
        except TimeoutError:
            raise InvalidState("Nothing has been recorded yet; ask again when it has.") from None
        return self._reporter.recording_state
