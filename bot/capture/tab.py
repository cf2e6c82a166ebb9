"""The video of the tab: slices of a MediaRecorder, appended as they come (design.md D7).

After a pause a new MediaRecorder writes a new stream: `tab.webm`, `tab-2.webm`, … Each says when
it starts, and `bot.recording.videos` joins them at their own times.
"""

from __future__ import annotations

import base64
import binascii
import logging
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import Field, ValidationError

from bot.capture.frames import Count, Message
from bot.recording.journal import JournalWriter, StreamFile
from core.errors import MeetingError
from core.jobs.spec import RecordingOptions
from core.recordings.journal import GapMarked, StreamOpened

WIDTH: Final = 1280
HEIGHT: Final = 720
_START_TIMEOUT_S: Final = 15.0
_STOP_TIMEOUT_S: Final = 3.0

_log = logging.getLogger(__name__)


class Caller(Protocol):
    """The half of the bridge that runs page commands."""

    async def call(
        self, command: str, args: dict[str, Any] | None = None, *, timeout: float = 10
    ) -> Any: ...


class TabChunk(Message):
    """Bytes of the WebM, in order; `at` is when they were handed out, ms since 1970."""

    n: Count
    at: float
    data: Annotated[str, Field(max_length=700_000)]


class TabEnded(Message):
    reason: Literal["stopped", "track-ended", "error"]
    detail: Annotated[str, Field(max_length=500)] = ""


class _Started(Message):
    at: float
    audio: bool


def video_bits_per_second(fps: int) -> int:
    """500 kbit/s at 5 fps, 800 kbit/s at 10: what capture.md measured as good, and onwards."""
    return min(2_500_000, 200_000 + 60_000 * fps)


class TabVideo:
    """Starts and stops the tab's recording and writes what arrives."""

    def __init__(self, page: Caller, t0_ms: float, journal: JournalWriter) -> None:
        self.running = False
        self._page = page
        self._t0_ms = t0_ms
        self._journal = journal
        self._stream: StreamFile | None = None
        self._streams = 0
        self._bytes = 0
        self._next = 0
        self._end_ms = 0

    @property
    def has_media(self) -> bool:
        return self._bytes > 0

    async def start(self, options: RecordingOptions, now_ms: float) -> None:
        """Ask the page to record itself. A page that refuses costs the video, not the audio."""
        args = {
            "fps": options.fps,
            "width": WIDTH,
            "height": HEIGHT,
            "videoBitsPerSecond": video_bits_per_second(options.fps),
        }
        self.running = True
        try:
            answer = await self._page.call("tab.start", args, timeout=_START_TIMEOUT_S)
            started = _Started.model_validate(answer)
        except (MeetingError, ValidationError) as error:
            self.running = False
            _log.error("The tab's video could not be started: %s", error)
            self._lose(now_ms, "the tab's video could not be started")
            return
        if not started.audio:
            _log.warning("The tab's video has no sound.")
        self._open(started.at)

    def _open(self, at_ms: float) -> StreamFile:
        if self._stream is None:
            self._streams += 1
            number = f"-{self._streams}" if self._streams > 1 else ""
            start = max(0, round(at_ms - self._t0_ms))
            self._stream = self._journal.open_stream(
                StreamOpened(stream=f"tab{number}.webm", kind="tab-video", start_ms=start)
            )
            self._end_ms = start
        return self._stream

    def chunk(self, chunk: TabChunk, now_ms: float) -> None:
        """Append; a chunk that was refused on its way leaves a damaged cluster, and a line."""
        if not self.running:
            return
        try:
            data = base64.b64decode(chunk.data, validate=True)
        except binascii.Error:
            _log.warning("A slice of the tab's video is not base64 and is left out.")
            return
        at_ms = min(chunk.at, now_ms)
        stream = self._open(at_ms)
        if chunk.n != self._next:
            self._lose(now_ms, f"{chunk.n - self._next} slices of the tab's video are missing")
        self._next = chunk.n + 1
        stream.append(data)
        self._bytes += len(data)
        self._end_ms = max(self._end_ms, round(at_ms - self._t0_ms))

    def ended(self, message: TabEnded, now_ms: float) -> None:
        """The page says that its recording is over; unless we asked for it, that is a loss."""
        if message.reason != "stopped":
            _log.error("The tab's video ended: %s %s", message.reason, message.detail)
            self._lose(now_ms, "the tab's video ended early")

    def describe(self) -> None:
        if self._stream is not None:
            self._journal.describe(self._stream, self._end_ms)

    async def stop(self) -> None:
        """Ask for the last slice; a page that is gone has already given all it had."""
        if not self.running:
            return
        try:
            await self._page.call("tab.stop", timeout=_STOP_TIMEOUT_S)
        except MeetingError as error:
            _log.info("The tab's last slice was not handed out: %s", error)
        self.running = False

    async def pause(self) -> None:
        """Stop, so that a later `start` begins a stream of its own."""
        await self.stop()
        self.describe()
        self._stream = None

    def _lose(self, now_ms: float, reason: str) -> None:
        stream = self._open(now_ms)
        at = max(0, round(now_ms - self._t0_ms))
        self._journal.write(
            GapMarked(stream=stream.name, start_ms=self._end_ms, end_ms=at, reason=reason)
        )
