"""What a recorder holds between `start` and `stop`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.browser.bridge import Bridge
from bot.capture.attribution import Owners
from bot.capture.audio import AudioRecorder
from bot.capture.pauses import Pauses
from bot.capture.tab import TabVideo
from bot.capture.video import VideoRecorder
from bot.recording.journal import JournalWriter
from core.jobs.spec import JobSpec
from core.recordings.journal import Open


class Running:
    """`t0_ms` is the start of the recording, ms since 1970."""

    def __init__(
        self, spec: JobSpec, work_dir: Path, bridge: Bridge, t0_ms: float, pauses: Pauses
    ) -> None:
        opened = Open(job_id=spec.job_id, fence=spec.fence, t0_ms=t0_ms)
        self.t0_ms = t0_ms
        self.journal = JournalWriter(work_dir, opened)
        self.owners = Owners()
        self.audio = AudioRecorder(self.owners, t0_ms, self.journal, pauses)
        self.video = VideoRecorder(spec.recording.video, self.owners, t0_ms, self.journal, pauses)
        self.tab = TabVideo(bridge, t0_ms, self.journal)
        self.task: asyncio.Task[None] | None = None
        # Video tracks that the page was told about, and the calls that tell it.
        self.wanted: dict[str, bool] = {}
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
