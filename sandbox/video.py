"""The cameras of scripted peers: short VP8 loops, painted and encoded once, then kept on disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from sandbox.glyphs import glyph
from sandbox.script import Speaker

WIDTH: Final = 640
HEIGHT: Final = 360
FPS: Final = 24
# A receiver that joins late or loses a packet waits at most this long for a whole picture.
KEY_FRAME_SECONDS: Final = 2
LOOP_SECONDS: Final = 4
BITRATE: Final = 500_000
# Part of the file name: a change of the picture makes new files.
EDITION: Final = "1"

Plane = NDArray[np.float32]
_ENCODER: Final = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "undershoot-pct": "100",
    "minrate": str(BITRATE),
    "maxrate": str(BITRATE),
    "bufsize": str(BITRATE),
    "g": str(FPS * KEY_FRAME_SECONDS),
    "keyint_min": str(FPS * KEY_FRAME_SECONDS),
}


_ENCODING: Final = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """One encoded VP8 frame."""

    payload: bytes
    key: bool


async def camera(speaker: Speaker, cache: Path) -> tuple[Picture, ...]:
    """The loop of one speaker; the first call for a cache folder encodes it (about a second)."""
    return await asyncio.to_thread(_camera, speaker.display_name, speaker.color, cache)


def _camera(name: str, color: str, cache: Path) -> tuple[Picture, ...]:
    # One at a time: two rooms that begin together do not paint the same picture twice.
    with _ENCODING:
        return _kept(name, color, cache)


@lru_cache(maxsize=32)
def _kept(name: str, color: str, cache: Path) -> tuple[Picture, ...]:
    digest = hashlib.sha256(f"{EDITION}|{name}|{color}".encode()).hexdigest()[:12]
    target = cache / f"{digest}.ivf"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _write(name, color, target)
    return _read(target)


def _read(source: Path) -> tuple[Picture, ...]:
    with av.open(str(source)) as container:
        return tuple(
            Picture(bytes(packet), packet.is_keyframe)
            for packet in container.demux(container.streams.video[0])
            if packet.size
        )


def _write(name: str, color: str, target: Path) -> None:
    """Encode beside the target and rename, so that nobody ever reads half a file."""
    handle, part = tempfile.mkstemp(dir=target.parent, suffix=".part")
    os.close(handle)
    try:
        with av.open(part, "w", format="ivf") as container:
            stream = container.add_stream("libvpx", rate=FPS, options=_ENCODER)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.bit_rate = BITRATE
            stream.time_base = Fraction(1, FPS)
            _encode(name, color, stream, container)
        Path(part).replace(target)
    finally:
        Path(part).unlink(missing_ok=True)


def _encode(
    name: str, color: str, stream: VideoStream, container: av.container.OutputContainer
) -> None:
    for index, planes in enumerate(_paint(name[:1], color)):
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = index
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _paint(initial: str, color: str) -> Iterator[NDArray[np.uint8]]:
    """Frames as `(540, 640)` arrays, the layout of yuv420p: a portrait that breathes and sways."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = ((blue - luma) * 0.564 + 128, (red - luma) * 0.713 + 128)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    letter = glyph(initial, 14).astype(np.float32)
    grain = np.random.default_rng(7).normal(0, 2.2, (HEIGHT, WIDTH)).astype(np.float32)
    background = luma * 0.45 + 40 * (1 - y / HEIGHT)
    for index in range(FPS * LOOP_SECONDS):
        turn = 2 * np.pi * index / (FPS * LOOP_SECONDS)
        cx, cy = WIDTH / 2 + 26 * np.sin(turn), HEIGHT / 2 - 20 + 8 * np.sin(2 * turn)
        # A band of light wanders through the room behind the portrait.
        band = 18 * np.exp(-(((x - y - 320 - 460 * np.sin(turn)) / 70) ** 2))
        shoulders = _disc(x, y, cx, HEIGHT + 70, 190)
        face = _disc(x, y, cx, cy, 88)
        picture = background + band
        picture += (luma * 0.8 - picture) * shoulders + (225 - picture) * face * (1 - shoulders / 2)
        top, left = int(cy) - letter.shape[0] // 2, int(cx) - letter.shape[1] // 2
        area = picture[top : top + letter.shape[0], left : left + letter.shape[1]]
        area += (luma * 0.5 - area) * letter
        picture += np.roll(grain, (index * 97, index * 211), axis=(0, 1))
        yield _planes(picture, chroma, face)


def _disc(x: Plane, y: Plane, cx: float, cy: float, radius: float) -> Plane:
    """1 inside, 0 outside, soft over two pixels."""
    disc: Plane = np.clip((radius - np.hypot(x - cx, y - cy)) / 2 + 0.5, 0, 1)
    return disc


def _planes(luma: Plane, chroma: tuple[float, float], face: Plane) -> NDArray[np.uint8]:
    # The face is nearly white: its colour is taken back to neutral.
    neutral = face[::2, ::2] * 0.85
    colors = [value + (128 - value) * neutral for value in chroma]
    flat = np.concatenate([luma.ravel(), *(plane.ravel() for plane in colors)])
    frame: NDArray[np.uint8] = np.clip(flat, 0, 255).astype(np.uint8)
    return frame.reshape(HEIGHT * 3 // 2, WIDTH)
