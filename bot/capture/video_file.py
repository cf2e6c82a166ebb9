"""Video frames of one track, passed through to WebM without encoding them again.

A file starts at a key frame and keeps its codec; a change of resolution is legal inside VP8 and
VP9 and comes with a key frame, at which the muxer starts a new cluster. The muxer's output is a
live stream (clusters of about a second, no seeking back), so a killed process leaves a file that
plays up to its last block.
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Final

import av
from av.packet import Packet as AvPacket

from bot.capture.frames import Frame
from bot.capture.rtp import OffsetEstimator, Unwrapper
from bot.recording.journal import StreamFile

VIDEO_CODECS: Final = ("vp8", "vp9")
_CLOCK_KHZ: Final = 90
# Further off than this, video is placed anew by the clock of the meeting.
_TOLERANCE_MS: Final = 100.0


class _Sink(io.RawIOBase):
    """Where the muxer writes; it cannot seek, so it never goes back to patch."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data
        return len(data)


class VideoTrackClock:
    """Places the frames of one video track on the clock of the meeting."""

    def __init__(self) -> None:
        self._ts = Unwrapper(32)
        self._offset = OffsetEstimator()
        self._ssrc: int | None = None
        self._anchor: float | None = None

    def place(self, frame: Frame) -> float:
        """When the frame was taken, ms since 1970."""
        if frame.ssrc != self._ssrc:
            self._ssrc, self._anchor = frame.ssrc, None
            self._ts, self._offset = Unwrapper(32), OffsetEstimator()
        rtp_ms = self._ts.unwrap(frame.rtp) / _CLOCK_KHZ
        self._offset.add(frame.arrival_ms, rtp_ms)
        best = self._offset.current or 0.0
        if self._anchor is None or abs(best - self._anchor) > _TOLERANCE_MS:
            self._anchor = best
        return rtp_ms + self._anchor


class VideoFile:
    """One WebM of one codec. `start_ms` and `end_ms` are ms of the recording."""

    def __init__(self, stream: StreamFile, first: Frame, start_ms: float) -> None:
        self.codec = first.codec
        self.start_ms = start_ms
        self.end_ms = start_ms
        self._stream = stream
        self._sink = _Sink()
        self._last_pts = -1
        options = {"live": "1", "cluster_time_limit": "1000", "flush_packets": "1"}
        self._container = av.open(self._sink, "w", format="webm", options=options)
        self._video = self._container.add_mux_stream(
            self.codec, width=first.width or 640, height=first.height or 360
        )
        self._video.time_base = Fraction(1, 1000)

    def add(self, frame: Frame, at_ms: float) -> None:
        """Append a frame whose place is `at_ms` of the recording."""
        pts = max(round(at_ms - self.start_ms), self._last_pts + 1)
        packet = AvPacket(frame.payload)
        packet.stream = self._video
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = pts
        packet.is_keyframe = frame.key
        self._container.mux_one(packet)
        self._last_pts = pts
        self.end_ms = self.start_ms + pts

    def flush(self) -> None:
        if self._sink.data:
            self._stream.append(bytes(self._sink.data))
            self._sink.data.clear()

    @property
    def stream(self) -> StreamFile:
        return self._stream

    def close(self) -> None:
        """Write what the muxer still holds."""
        self._container.close()
        self.flush()
