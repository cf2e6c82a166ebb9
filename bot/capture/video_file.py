"""Video frames of one track, passed through to WebM or Matroska without encoding them again.

WebM may hold no H264, so that goes into Matroska, of which WebM is a part. A file starts at a key
frame and keeps its codec; a change of resolution is legal inside all of them and comes with a key
frame, at which the muxer starts a new cluster. The muxer's output is a live stream (clusters of
about a second, no seeking back), so a killed process leaves a file that plays up to its last block.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

import av
from av.container.output import OutputContainer
from av.packet import Packet as AvPacket
from av.stream import Stream

from bot.capture.frames import Codec, Frame
from bot.capture.rtp import OffsetEstimator, Unwrapper
from bot.recording.journal import StreamFile
from core.media import CONTAINERS

# How files of a codec end.
SUFFIXES: Final[Mapping[Codec, str]] = {
    "vp8": ".webm",
    "vp9": ".webm",
    "av1": ".webm",
    "h264": ".mkv",
}
# Containers keep apart what these say once: the format that their bare frames are read as, and
# what RTP leaves out before them.
_BARE: Final[Mapping[Codec, tuple[str, bytes]]] = {"h264": ("h264", b""), "av1": ("obu", b"\x12\0")}
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


class Unplayable(Exception):
    """A frame that is called a key frame, and does not say how to decode what follows."""


class VideoFile:
    """One file of one codec. `start_ms` and `end_ms` are ms of the recording.

    Raises:
        Unplayable: `first` is no frame to begin with, and nothing was opened; another one may be.
    """

    def __init__(self, opened: Callable[[], StreamFile], first: Frame, start_ms: float) -> None:
        self.codec = first.codec
        self.start_ms = start_ms
        self.end_ms = start_ms
        self._sink = _Sink()
        self._last_pts = -1
        options = {"live": "1", "cluster_time_limit": "1000", "flush_packets": "1"}
        format_name = CONTAINERS[SUFFIXES[self.codec]]
        self._container = av.open(self._sink, "w", format=format_name, options=options)
        self._video = _described(self._container, first)
        self._video.time_base = Fraction(1, 1000)
        self._stream = opened()

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


def _described(container: OutputContainer, first: Frame) -> Stream:
    """The container's stream for frames like `first`."""
    if first.codec not in _BARE:
        size = {"width": first.width or 640, "height": first.height or 360}
        return container.add_mux_stream(first.codec, **size)
    name, before = _BARE[first.codec]
    try:
        with av.open(io.BytesIO(before + first.payload), format=name) as bare:
            (template,) = bare.streams.video
            if not template.codec_context.extradata or not template.width:
                raise Unplayable
            # Opaque: a decoder's name is enough, nobody encodes here.
            return container.add_stream_from_template(template, opaque=True)
    except (av.FFmpegError, ValueError) as error:
        raise Unplayable from error
