"""Makes `page/canned.json`: tiny valid frames of each video codec, handed to the decoder.

Run by developers only: `python -m bot.capture.generate_canned`. A codec has a key frame, and
the frames that take turns in place of delta frames. VP8 and VP9 get a real delta frame; H264
gets key frames of two ids in turn, because a repeated delta frame would break its frame counter.
AV1 is left out. Canned delta frames stop Chromium's decoder at once. One canned key frame in place
of every frame decodes (53 frames of 53, version 156), but in three of five calls of three seconds
on a busy machine two frames at most reached the decoder, of 83 packets, and a key frame was asked
for. Whether that happens to AV1 that nobody replaces, too, was not measured.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

TARGET: Final = Path(__file__).parent / "page" / "canned.json"
SIZE: Final = 16

_ENCODERS: Final[dict[str, tuple[str, int, dict[str, str]]]] = {
    "video/VP8": ("libvpx", 1000, {"deadline": "best", "crf": "63", "b": "1000"}),
    "video/VP9": ("libvpx-vp9", 1000, {"deadline": "best", "crf": "63", "lag-in-frames": "0"}),
    "video/H264": (
        "libx264",
        1,
        {"profile": "baseline", "crf": "51", "x264-params": "annexb=1:repeat-headers=1:sei=0"},
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
    """Leave out the user data that x264 puts into H264."""
    if mime == "video/H264":
        units = frame.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
        return b"".join(b"\0\0\0\1" + unit for unit in units if unit[0] & 31 != 6)
    return frame


def main() -> None:
    canned = {}
    for mime, (name, group, options) in _ENCODERS.items():
        frames = [strip(mime, frame) for frame in encode(name, group, options, 4)]
        deltas = [frames[2]] if group > 1 else frames[1::-1] if mime == "video/H264" else frames[:1]
        canned[mime] = {
            "key": base64.b64encode(frames[0]).decode(),
            "deltas": [base64.b64encode(frame).decode() for frame in deltas],
        }
    TARGET.write_text(json.dumps(canned, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
