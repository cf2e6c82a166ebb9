"""Shared screens and cameras: encoded frames of claimed tracks, each into files of its own."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from bot.capture.attribution import Owners, TrackAssignment
from bot.capture.frames import Frame
from bot.capture.pauses import Pauses
from bot.capture.video_file import SUFFIXES, Unplayable, VideoFile, VideoTrackClock
from bot.recording.journal import JournalWriter
from core.jobs.spec import VideoChoice
from core.recordings.journal import StreamOpened

# What one track may hold before it is claimed.
MAX_HELD_BYTES: Final = 8 * 1024 * 1024
MAX_HELD_FRAMES: Final = 900

_log = logging.getLogger(__name__)


@dataclass
class _Track:
    track_id: str
    clock: VideoTrackClock = field(default_factory=VideoTrackClock)
    held: deque[tuple[Frame, float]] = field(default_factory=deque)
    held_bytes: int = 0
    file: VideoFile | None = None
    owner: str | None = None
    last_at_ms: float = float("-inf")
    refused: bool = False
    # Frames were left out: what follows needs a key frame to be shown.
    broken: bool = False


class VideoRecorder:
    """Records what `choice` asks for: shared screens, or cameras and shared screens."""

    def __init__(
        self,
        choice: VideoChoice,
        owners: Owners,
        t0_ms: float,
        journal: JournalWriter,
        pauses: Pauses,
    ) -> None:
        self._pauses = pauses
        self._choice = choice
        self._owners = owners
        self._t0_ms = t0_ms
        self._journal = journal
        self._tracks: dict[tuple[str, int], _Track] = {}
        self._files = 0

    @property
    def has_media(self) -> bool:
        return self._files > 0

    def wants(self, assignment: TrackAssignment) -> bool:
        """Whether frames of a track so assigned are recorded."""
        if assignment.source == "screen":
            return self._choice in ("screenshare", "participants")
        return assignment.source == "camera" and self._choice == "participants"

    def push(self, doc: str, track_id: str, frame: Frame) -> None:
        track = self._tracks.setdefault((doc, frame.index), _Track(track_id))
        at_ms = track.clock.place(frame)
        assignment = self._owners.at(track.track_id, at_ms)
        if assignment is None:
            self._hold(track, frame, at_ms)
        elif self.wants(assignment):
            self._catch_up(track, assignment)
            self._write(track, assignment, frame, at_ms)

    @property
    def recorded_tracks(self) -> tuple[str, ...]:
        """Ids of the tracks that files are being written of."""
        return tuple(track.track_id for track in self._tracks.values() if track.file is not None)

    def claim(self, assignment: TrackAssignment) -> None:
        """An owner became known: what was held is written or let go."""
        for track in self._tracks.values():
            if track.track_id == assignment.track_id:
                self._catch_up(track, assignment)

    def end_track(self, doc: str, index: int) -> None:
        track = self._tracks.pop((doc, index), None)
        if track is not None:
            self._close_file(track)

    def write(self) -> None:
        for track in self._tracks.values():
            if track.file is not None:
                track.file.flush()

    def describe(self) -> None:
        for track in self._tracks.values():
            if track.file is not None:
                self._journal.describe(track.file.stream, round(track.file.end_ms))

    def close(self) -> None:
        for track in self._tracks.values():
            self._close_file(track)

    def _hold(self, track: _Track, frame: Frame, at_ms: float) -> None:
        """Only what follows a key frame can be shown, so older frames are let go first."""
        track.held.append((frame, at_ms))
        track.held_bytes += len(frame.payload)
        while track.held_bytes > MAX_HELD_BYTES or len(track.held) > MAX_HELD_FRAMES:
            dropped, _ = track.held.popleft()
            track.held_bytes -= len(dropped.payload)

    def _catch_up(self, track: _Track, assignment: TrackAssignment) -> None:
        held, track.held, track.held_bytes = track.held, deque(), 0
        if self.wants(assignment):
            for frame, at_ms in held:
                self._write(track, assignment, frame, at_ms)

    def _write(
        self, track: _Track, assignment: TrackAssignment, frame: Frame, at_ms: float
    ) -> None:
        start_ms = at_ms - self._t0_ms
        if frame.codec not in SUFFIXES:
            self._refuse(track, f"Video in {frame.codec} is not recorded")
            return
        if self._left_out(track, frame, at_ms):
            return
        other = assignment.participant_id != track.owner
        if track.file is not None and (other or frame.codec != track.file.codec):
            self._close_file(track)
        if track.file is None:
            if not frame.key or start_ms < 0:
                return
            track.owner = assignment.participant_id
            try:
                track.file = self._open(assignment, frame, start_ms)
            except Unplayable:
                self._refuse(track, f"A key frame in {frame.codec} begins nothing; the next may")
                return
        elif at_ms <= track.last_at_ms:
            return
        track.last_at_ms = at_ms
        track.file.add(frame, start_ms)

    def _left_out(self, track: _Track, frame: Frame, at_ms: float) -> bool:
        """Paused, or after a pause and before the key frame with which the picture moves again."""
        paused = self._pauses.cover(at_ms, at_ms + 1)
        track.broken = paused or (track.broken and not frame.key)
        return track.broken

    def _open(self, assignment: TrackAssignment, frame: Frame, start_ms: float) -> VideoFile:
        screen = assignment.source == "screen"
        kind: Literal["screenshare", "participant-video"] = (
            "screenshare" if screen else "participant-video"
        )
        opened = StreamOpened(
            stream=f"{kind}.{assignment.participant_id}.{self._files + 1}{SUFFIXES[frame.codec]}",
            kind=kind,
            participant_id=assignment.participant_id,
            start_ms=round(start_ms),
        )
        file = VideoFile(partial(self._journal.open_stream, opened), frame, start_ms)
        self._files += 1
        return file

    def _close_file(self, track: _Track) -> None:
        if track.file is not None:
            track.file.close()
            self._journal.describe(track.file.stream, round(track.file.end_ms))
            track.file = None

    def _refuse(self, track: _Track, why: str) -> None:
        if not track.refused:
            track.refused = True
            _log.warning("%s.", why)
