"""Makes `page/canned.json`: tiny valid frames of each video codec, handed to the decoder.

Run by developers only: `python -m bot.capture.generate_canned`. A codec has a key frame, and
the frames that take turns in place of delta frames, which must decode however often they come:

- VP8 and VP9: a real delta frame. Neither counts its frames.
- H264: key frames of two ids in turn. A repeated delta frame would break its frame counter.
- AV1: a real delta frame that no other may refer to (`refresh_frame_flags` 0), as SVT-AV1's first
  one is. Every repetition finds the key frame in all eight places for references, one behind it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

TARGET: Final = Path(__file__).parent / "page" / "canned.json"
SIZE: Final = 16
_TEMPORAL_DELIMITER: Final = b"\x12\0"


class _Encoder(NamedTuple):
    """`turns`: which of the frames that it encodes stand in for delta frames."""

    name: str
    group: int
    options: dict[str, str]
    turns: Sequence[int]


_ENCODERS: Final = {
    "video/VP8": _Encoder(
        "libvpx", 1000, {"deadline": "best", "crf": "63", "b": "1000"}, turns=(2,)
    ),
    "video/VP9": _Encoder(
        "libvpx-vp9", 1000, {"deadline": "best", "crf": "63", "lag-in-frames": "0"}, turns=(2,)
    ),
    "video/H264": _Encoder(
        "libx264",
        1,
        {"profile": "baseline", "crf": "51", "x264-params": "annexb=1:repeat-headers=1:sei=0"},
        turns=(1, 0),
    ),
    "video/AV1": _Encoder(
        "libsvtav1",
        1000,
        {"preset": "12", "crf": "63", "svtav1-params": "pred-struct=1"},
        turns=(1,),
    ),
}


def encode(name: str, group: int, options: dict[str, str], count: int) -> Sequence[bytes]:
    """`count` encoded frames of one grey picture."""
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)  # noqa: S101 - for the type checker
    context.width = context.height = SIZE
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, 25)
    context.gop_size = group
    context.max_b_frames = 0
    context.options = options
    grey = np.full((SIZE * 3 // 2, SIZE), 128, np.uint8)
    packets: list[Packet[VideoStream]] = []
    for number in range(count):
        frame = VideoFrame.from_ndarray(grey, format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return [bytes(packet) for packet in packets]


def strip(mime: str, frame: bytes) -> bytes:
    """Leave out the user data that x264 puts into H264, and what RTP does not carry of AV1."""
    if mime == "video/H264":
        units = frame.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
        return b"".join(b"\0\0\0\1" + unit for unit in units if unit[0] & 31 != 6)
    if mime == "video/AV1":
        return frame.removeprefix(_TEMPORAL_DELIMITER)
    return frame


def main() -> None:
    canned = {}
    for mime, encoder in _ENCODERS.items():
        encoded = encode(encoder.name, encoder.group, encoder.options, 4)
        frames = [strip(mime, frame) for frame in encoded]
        canned[mime] = {
            "key": base64.b64encode(frames[0]).decode(),
            "deltas": [base64.b64encode(frames[turn]).decode() for turn in encoder.turns],
        }
    TARGET.write_text(json.dumps(canned, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
