"""Takes what the page sends about tracks: bounds it, parses it, hands it on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from bot.browser.bridge import Bridge
from bot.capture.audio import AudioRecorder
from bot.capture.frames import (
    BadFrames,
    CaptureAlarm,
    Frame,
    FrameChunk,
    FrameStream,
    KeyFrameRequests,
    TrackGone,
    TrackSeen,
)
from bot.capture.video import VideoRecorder

MAX_DOCUMENTS: Final = 64
MAX_TRACKS: Final = 512
# How far the arrival that a page claims may be from now.
_MAX_AGE_MS: Final = 60_000.0
_MAX_AHEAD_MS: Final = 2_000.0

_log = logging.getLogger(__name__)

Sinks = Callable[[], tuple[AudioRecorder, VideoRecorder, float] | None]


class FrameIntake:
    """`refused` counts what was not usable, by reason; `alarms` what the page raised."""

    def __init__(
        self, sinks: Sinks, now_ms: Callable[[], float], paused: Callable[[], bool]
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.alarms: list[CaptureAlarm] = []
        # Frames taken, by codec.
        self.codecs: Counter[str] = Counter()
        self.tracks: dict[tuple[str, int], TrackSeen] = {}
        # Arrival of this page's first and newest frame, ms since 1970; None before there is one.
        self.first_frame_ms: float | None = None
        self.last_frame_ms: float | None = None
        self._sinks = sinks
        self._now_ms = now_ms
        self._paused = paused
        self._documents: dict[str, FrameStream] = {}
        self._key_frame_requests: dict[str, int] = {}

    @property
    def key_frame_requests(self) -> int:
        """Requests that our browser's receivers have sent so far, all documents together."""
        return sum(self._key_frame_requests.values())

    def listen(self, bridge: Bridge) -> None:
        bridge.on("frames", FrameChunk, self._on_frames)
        bridge.on("track", TrackSeen, self._on_track)
        bridge.on("track-ended", TrackGone, self._on_track_gone)
        bridge.on("capture-alarm", CaptureAlarm, self._on_alarm)
        bridge.on("key-frame-requests", KeyFrameRequests, self._on_key_frame_requests)

    def page_gone(self) -> None:
        """Nothing more comes from the page: its tracks have ended."""
        for doc, index in list(self.tracks):
            self._on_track_gone(TrackGone(doc=doc, index=index))
        self._documents.clear()
        self.first_frame_ms = self.last_frame_ms = None

    def _on_track(self, seen: TrackSeen) -> None:
        if len(self.tracks) >= MAX_TRACKS:
            self.refused["tracks"] += 1
        else:
            self.tracks.setdefault((seen.doc, seen.index), seen)

    def _on_track_gone(self, gone: TrackGone) -> None:
        seen = self.tracks.pop((gone.doc, gone.index), None)
        sinks = self._sinks()
        if seen is None or sinks is None:
            return
        audio, video, _ = sinks
        if seen.kind == "audio":
            audio.end_track(gone.doc, gone.index, self._now_ms())
        else:
            video.end_track(gone.doc, gone.index)

    def _on_alarm(self, alarm: CaptureAlarm) -> None:
        if self._paused():
            # Nothing is recorded now, so nothing is lost.
            return
        _log.warning("Capture alarm: %s %s", alarm.reason, alarm.detail)
        if len(self.alarms) < MAX_TRACKS:
            self.alarms.append(alarm)

    def _on_key_frame_requests(self, message: KeyFrameRequests) -> None:
        if message.doc in self._key_frame_requests or len(self._documents) < MAX_DOCUMENTS:
            self._key_frame_requests[message.doc] = message.count

    def _on_frames(self, chunk: FrameChunk) -> None:
        stream = self._documents.get(chunk.doc)
        if stream is None:
            if len(self._documents) >= MAX_DOCUMENTS:
                self.refused["documents"] += 1
                return
            stream = self._documents[chunk.doc] = FrameStream()
        try:
            frames = list(stream.feed(chunk))
        except BadFrames as error:
            self.refused["frames"] += 1
            _log.warning("Refused frames of the page: %s", error)
            return
        sinks = self._sinks()
        if sinks is None:
            return
        for frame in frames:
            self._take(chunk.doc, frame, sinks)

    def _take(
        self, doc: str, frame: Frame, sinks: tuple[AudioRecorder, VideoRecorder, float]
    ) -> None:
        audio, video, _t0_ms = sinks
        seen = self.tracks.get((doc, frame.index))
        age = self._now_ms() - frame.arrival_ms
        if seen is None:
            self.refused["unknown-track"] += 1
        elif not -_MAX_AHEAD_MS <= age <= _MAX_AGE_MS:
            self.refused["clock"] += 1
        else:
            self.codecs[frame.codec] += 1
            self.first_frame_ms = self.first_frame_ms or frame.arrival_ms
            self.last_frame_ms = frame.arrival_ms
            sink = audio if seen.kind == "audio" else video
            sink.push(doc, seen.track_id, frame)
