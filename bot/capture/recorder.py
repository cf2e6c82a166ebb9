"""The recorder of one attempt: what the page sends and the session says, onto disk.

Everything is on the clock of the recording, which starts with `start` and never steps: the wall
clock of that moment plus monotonic time. What is heard leaves the hold within a second, reaches
the files twice a second and the journal every second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bot.browser.bridge import Bridge
from bot.capture.attribution import TrackAssignment
from bot.capture.audio import AudioRecorder
from bot.capture.intake import FrameIntake
from bot.capture.page_parts import page_config, page_parts
from bot.capture.pauses import Pauses
from bot.capture.running import Running
from bot.capture.snapshot import snapshot
from bot.capture.tab import TabChunk, TabEnded
from bot.capture.video import VideoRecorder
from bot.capture.voices import Voices
from bot.control import Progress
from bot.recording.disk import DiskGuard
from core.clock import Clock, epoch_ms
from core.errors import BotFault, MeetingError
from core.jobs.failures import ExitReason
from core.jobs.spec import JobSpec, RecordingOptions
from core.recordings.journal import (
    Alive,
    Attributed,
    CaptionSaid,
    ChatSaid,
    Close,
    Entry,
    ParticipantSeen,
    RosterMoved,
)
from core.recordings.recording import Caption, ChatMessage, Participant

_TICK_S: Final = 0.5
_TICKS_PER_SYNC: Final = 2
_TICKS_PER_SIGN: Final = 10
_PAGE_FLUSH_TIMEOUT_S: Final = 2.0

_log = logging.getLogger(__name__)


class Recorder:
    """Records one attempt into `<work_dir>/<fence>/`.

    `media_captured` is set when the first media is on disk. When the disk fails, `failed` is
    set, and `progress()` and `stop()` raise the reason.
    """

    def __init__(
        self,
        spec: JobSpec,
        work_dir: Path,
        bridge: Bridge,
        clock: Clock,
        disk: DiskGuard | None = None,
    ) -> None:
        self.media_captured = asyncio.Event()
        self.failed = asyncio.Event()
        self.failure: MeetingError | None = None
        self.recorded_before_seconds = 0.0  # by earlier attempts, for people watching
        self._pauses = Pauses()
        self._begins_paused = False
        self.intake = FrameIntake(self._frame_sinks, self.now_ms, lambda: self._pauses.open)
        self._spec = spec
        self._work_dir = work_dir
        self._bridge = bridge
        self._clock = clock
        self._disk = disk
        self._wall = epoch_ms(clock.now())
        self._mono = clock.monotonic()
        self._running: Running | None = None
        self._stopped = False
        self._early: list[Entry] = []
        self._claims: list[TrackAssignment] = []
        # Whose voices are on tracks that carry several.
        self.voices = Voices(self._disk_failures)
        self._present: dict[str, Participant] = {}
        self.intake.listen(bridge)
        bridge.on("tab", TabChunk, self._on_tab_chunk)
        bridge.on("tab-ended", TabEnded, self._on_tab_ended)

    @staticmethod
    def page_parts(options: RecordingOptions) -> Sequence[Path]:
        """JavaScript files for the init script, in order."""
        return page_parts(options)

    @staticmethod
    def page_config(options: RecordingOptions) -> dict[str, Any]:
        """What these files find in CONFIG."""
        return page_config(options)

    def now_ms(self) -> float:
        """The clock of the recording, ms since 1970; it does not follow steps of the system's."""
        return self._wall + (self._clock.monotonic() - self._mono) * 1000

    @property
    def started(self) -> bool:
        return self._running is not None

    async def start(self, gap: str | None = None) -> None:
        """Begin now; tab video too, when the job wants it.

        Args:
            gap: why a gap precedes; it ends with the first media. None when none does.

        Raises:
            RecordingDiskError: the work folder cannot be written.
            DiskLow: there is hardly any room on its disk.
        """
        if self._disk is not None:
            self._disk.check(0)
        self._wall, self._mono = epoch_ms(self._clock.now()), self._clock.monotonic()
        running = Running(self._spec, self._work_dir, self._bridge, self.now_ms(), self._pauses)
        self._running = running
        running.journal.write(*self._early)
        self._early.clear()
        for claim in self._claims:
            self.assign(claim)
        self.voices.start(running.audio, running.journal)
        if gap is not None:
            running.outages.begin(running.t0_ms, gap)
            running.outages.back(running.t0_ms)
        if self._begins_paused:
            self._pauses.begin(running.t0_ms, running.t0_ms, running.journal)
        running.task = asyncio.create_task(self._tick_on(running), name="recorder")
        await self._start_tab(running)
        self._check()

    @property
    def paused(self) -> bool:
        """Whether nothing is recorded, of anything, because somebody said so (LC-06)."""
        return self._pauses.open

    async def pause(self) -> None:
        """Record nothing until `resume`; before `start`: begin so, as an earlier attempt left it.

        Raises:
            BotFault: the recording is over.
            RecordingDiskError: the journal cannot be written.
        """
        running = self._going()
        if running is None or self.paused:
            self._begins_paused = running is None
            return
        # The tab first: what its last slice holds must lie before the pause.
        with self._disk_failures():
            await running.tab.pause()
        with self._disk_failures():
            self._pauses.begin(self.now_ms(), running.t0_ms, running.journal)
        self._check()

    async def resume(self) -> None:
        """Record everything again, in the same files, at its own time.

        Raises:
            BotFault: the recording is over.
            RecordingDiskError: the journal cannot be written.
        """
        running = self._going()
        if running is None or not self.paused:
            self._begins_paused = False
            return
        with self._disk_failures():
            self._pauses.end(self.now_ms(), running.t0_ms, running.journal)
        await self._start_tab(running)
        if tracks := running.video.recorded_tracks:
            with contextlib.suppress(MeetingError):
                await self._bridge.call("capture.key-frames", {"trackIds": tracks})
        self._check()

    async def _start_tab(self, running: Running) -> None:
        if self._spec.recording.video == "tab" and not self.paused:
            with self._disk_failures():
                await running.tab.start(self._spec.recording, self.now_ms())

    def _going(self) -> Running | None:
        if self._stopped:
            raise BotFault("The recording is over.")
        return self._running

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def lost(self, reason: str, since: float) -> None:
        """The page or its media is gone since that moment (`Clock.monotonic`); a gap begins."""
        running = self._running
        if running is None or self._stopped:
            return
        with self._disk_failures():
            running.outages.begin(self._wall + (since - self._mono) * 1000, reason)
            self.intake.page_gone()
            running.tab.lost()

    async def back(self) -> None:
        """A new page is in the room: go on; the gap ends with its first media."""
        running = self._running
        if running is None or self._stopped:
            return
        running.outages.back(self.now_ms())
        await self._start_tab(running)

    # What the session says

    def joined(self, participant: Participant, at_ms: float) -> None:
        """Somebody is in the room (the bot itself too); `at_ms` since 1970."""
        self.known(participant)
        self._journal(RosterMoved.of("participant.join", participant, at_ms))

    def known(self, participant: Participant) -> None:
        """The newest facts about somebody in the room, such as another name."""
        self._present[participant.id] = participant
        self._journal(ParticipantSeen.of(participant))

    def left(self, participant_id: str, at_ms: float, late_ms: float = 0) -> None:
        participant = self._present.pop(participant_id, None)
        if participant is not None:
            voice_ms = self._running.audio.last_voice_of(participant_id) if self._running else None
            self._journal(RosterMoved.left(participant, at_ms, late_ms, voice_ms))

    def assign(self, assignment: TrackAssignment) -> None:
        """Say whose a track is; before or after its first frames, and again when it changes."""
        running = self._running
        if running is None:
            self._claims.append(assignment)
            return
        if self._stopped or not running.owners.assign(assignment, self.now_ms()):
            return
        self._journal(
            Attributed(
                track_id=assignment.track_id,
                participant_id=assignment.participant_id,
                source=assignment.source,
                attribution=assignment.attribution,
                isolation=assignment.isolation,
                confidence=assignment.confidence,
            )
        )
        with self._disk_failures():
            running.audio.claim(assignment.track_id)
            running.video.claim(assignment)
        running.tell_page(assignment)

    def chat(self, message: ChatMessage) -> None:
        """A message of the room's chat; one that was written in a pause is left out."""
        at_ms = epoch_ms(message.at)
        if self._pauses.cover(at_ms, at_ms + 1):
            return
        self._journal(
            ChatSaid(
                at_ms=at_ms,
                participant_id=message.participant_id,
                display_name=message.display_name,
                text=message.text,
            )
        )

    def caption(self, caption: Caption) -> None:
        """A finished caption; one that reaches into a pause is left out."""
        t0_ms = self._running.t0_ms if self._running else 0
        if self._pauses.cover(t0_ms + caption.start_ms, t0_ms + caption.end_ms):
            return
        self._journal(
            CaptionSaid(
                start_ms=caption.start_ms,
                end_ms=caption.end_ms,
                participant_id=caption.participant_id,
                display_name=caption.display_name,
                text=caption.text,
            )
        )

    # What the session asks

    def progress(self) -> Progress:
        """A snapshot for people watching.

        Raises:
            MeetingError: recording has failed; `failure` is the same.
        """
        self._check()
        return snapshot(
            self._running,
            self._pauses,
            self._present.values(),
            self.now_ms(),
            self.recorded_before_seconds,
        )

    def last_voice_at_ms(self) -> float | None:
        """When a voice was last heard, ms since 1970; None when never."""
        return self._running.audio.last_voice_ms if self._running else None

    # The end

    async def stop(self, exit_reason: ExitReason) -> None:
        """Take what the page still holds, empty the holds, close the journal. Idempotent.

        Raises:
            MeetingError: the disk failed; what was written before is good.
        """
        running = self._running
        if running is None or self._stopped:
            return
        await running.tab.stop()
        with contextlib.suppress(MeetingError):
            await self._bridge.call("capture.flush", timeout=_PAGE_FLUSH_TIMEOUT_S)
        self._stopped = True
        self.voices.stop()
        tasks = [task for task in (running.task, *running.errands) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with self._disk_failures():
            now = self.now_ms()
            running.audio.close(now)
            running.video.close()
            running.tab.describe()
            running.outages.close(now)
            self._pauses.end(now, running.t0_ms, running.journal)
            running.journal.write(Close(at_ms=now, exit_reason=exit_reason))
            await running.journal.sync()
        running.journal.close()
        self._note_media(running)
        self._check()

    # Inside

    async def _tick_on(self, running: Running) -> None:
        ticks = 0
        while self.failure is None:
            await self._clock.sleep(_TICK_S)
            ticks += 1
            with self._disk_failures():
                running.write(self.now_ms())
                running.outages.look(self.now_ms(), self.intake.first_frame_ms)
                if ticks % _TICKS_PER_SIGN == 0 and not running.outages.open:
                    running.journal.write(Alive(end_ms=round(self.now_ms() - running.t0_ms)))
                if ticks % _TICKS_PER_SYNC == 0:
                    running.describe()
                    await running.journal.sync()
                    if self._disk is not None:
                        self._disk.check(running.journal.bytes_written)
                self._note_media(running)

    def _note_media(self, running: Running) -> None:
        if running.has_media:
            self.media_captured.set()

    def _journal(self, *entries: Entry) -> None:
        if self._running is None:
            self._early.extend(entries)
        elif not self._stopped:
            with self._disk_failures():
                self._running.journal.write(*entries)

    @contextlib.contextmanager
    def _disk_failures(self) -> Any:
        """Keep the first failure of the disk; recording cannot go on after it."""
        try:
            yield
        except BotFault as error:
            if self.failure is None:
                _log.error("%s", error.message)
                self.failure = error
                self.failed.set()

    def _frame_sinks(self) -> tuple[AudioRecorder, VideoRecorder, float] | None:
        running = self._running
        if running is None or self._stopped:
            return None
        return running.audio, running.video, running.t0_ms

    def _on_tab_chunk(self, chunk: TabChunk) -> None:
        if self._running is not None and not self._stopped:
            with self._disk_failures():
                self._running.tab.chunk(chunk, self.now_ms())

    def _on_tab_ended(self, message: TabEnded) -> None:
        if self._running is not None and not self._stopped:
            with self._disk_failures():
                self._running.tab.ended(message, self.now_ms())
