"""What a recorder holds between `start` and `stop`."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from bot.browser.bridge import Bridge
from bot.capture.attribution import Owners, TrackAssignment
from bot.capture.audio import AudioRecorder
from bot.capture.outages import Outages
from bot.capture.pauses import Pauses
from bot.capture.tab import TabVideo
from bot.capture.video import VideoRecorder
from bot.recording.journal import JournalWriter
from core.errors import MeetingError
from core.jobs.spec import JobSpec
from core.recordings.journal import Open


class Running:
    """`t0_ms` is the start of the recording, ms since 1970."""

    def __init__(
        self, spec: JobSpec, work_dir: Path, bridge: Bridge, t0_ms: float, pauses: Pauses
    ) -> None:
        opened = Open(job_id=spec.job_id, fence=spec.fence, t0_ms=t0_ms)
        self.t0_ms = t0_ms
        self._bridge = bridge
        self._takes_video = spec.recording.video in ("screenshare", "participants")
        self.journal = JournalWriter(work_dir, opened)
        self.owners = Owners()
        self.audio = AudioRecorder(self.owners, t0_ms, self.journal, pauses)
        self.video = VideoRecorder(spec.recording.video, self.owners, t0_ms, self.journal, pauses)
        self.tab = TabVideo(bridge, t0_ms, self.journal)
        self.outages = Outages(self.journal, t0_ms)
        self.task: asyncio.Task[None] | None = None
        # Video tracks that the page was told about, and the calls that tell it.
        self._wanted: dict[str, bool] = {}
        self.errands: set[asyncio.Task[None]] = set()

    @property
    def has_media(self) -> bool:
        return self.audio.has_media or self.video.has_media or self.tab.has_media

    def write(self, now_ms: float) -> None:
        self.audio.write(now_ms)
        self.video.write()

    def describe(self) -> None:
        self.audio.describe()
        self.video.describe()
        self.tab.describe()

    def tell_page(self, assignment: TrackAssignment) -> None:
        """Video that is not recorded need not leave the page; until told, all of it does."""
        if not self._takes_video or assignment.source == "microphone":
            return
        wanted = self.video.wants(assignment)
        if self._wanted.get(assignment.track_id, True) != wanted:
            self._wanted[assignment.track_id] = wanted
            task = asyncio.create_task(self._want(assignment.track_id, wanted), name="want")
            self.errands.add(task)
            task.add_done_callback(self.errands.discard)

    async def _want(self, track_id: str, wanted: bool) -> None:
        # A page that cannot be told goes on sending, which costs but loses nothing.
        with contextlib.suppress(MeetingError):
            await self._bridge.call("capture.want", {"trackId": track_id, "wanted": wanted})
