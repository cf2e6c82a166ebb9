"""Things to say and show, and how another person in the room hears and sees them."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import av
import ffmpeg
import numpy as np

from core.media import run_ffmpeg
from tests.sandbox.browsers import Visitor

# The strongest tone in what somebody sends: its frequency, and its level in dB.
_TONE = """async (name) => {
  const tile = `[data-testid="tile"][data-display-name="${name}"]`;
  const stream = document.querySelector(`${tile} audio`)?.srcObject;
  if (!stream?.getAudioTracks().length) return [0, -200];
  const context = (globalThis.ear ??= new AudioContext());
  await context.resume();
  const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
  const source = context.createMediaStreamSource(stream);
  source.connect(analyser);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  source.disconnect();
  const best = levels.indexOf(Math.max(...levels));
  return [best * context.sampleRate / analyser.fftSize, levels[best]];
}"""
# The colour in the middle of a tile's picture; null while there is none.
_COLOUR = """([name, kind]) => {
  const tile = `[data-testid="tile"][data-display-name="${name}"][data-kind="${kind}"]`;
  const video = document.querySelector(`${tile} video`);
  if (!video?.srcObject || video.hidden || video.videoWidth < 16) return null;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  return [...context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3);
}"""


async def tone_of(visitor: Visitor, name: str) -> tuple[float, float]:
    """The strongest tone that a visitor hears from somebody: hertz and decibels."""
    frequency, level = await visitor.page.evaluate(_TONE, name)
    return frequency, -200.0 if level is None else level


async def colour_of(visitor: Visitor, name: str, kind: str) -> list[int] | None:
    """The middle of what a visitor sees of somebody's `camera` or `screen`."""
    found: list[int] | None = await visitor.page.evaluate(_COLOUR, [name, kind])
    return found


def is_near(colour: list[int] | None, wanted: tuple[int, int, int]) -> bool:
    """Video codecs do not keep colours exactly."""
    return colour is not None and max(map(abs, np.subtract(colour, wanted))) < 40


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.02)


def tone_wav(frequency: float, seconds: float) -> bytes:
    time = np.arange(round(48_000 * seconds)) / 48_000
    samples = (12_000 * np.sin(2 * np.pi * frequency * time)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def plain_png(colour: tuple[int, int, int]) -> bytes:
    pixels = np.full((90, 160, 3), colour, np.uint8)
    codec: Any = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 160, 90, "rgb24", 1
    packets = codec.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
    return b"".join(bytes(packet) for packet in [*packets, *codec.encode(None)])


def plain_mp4(folder: Path, colour: str, frequency: float, seconds: float) -> bytes:
    """H.264 and AAC, as cameras write them."""
    path = folder / "clip.mp4"
    picture = ffmpeg.input(f"color=c={colour}:size=320x180:rate=15:duration={seconds}", f="lavfi")
    sound = ffmpeg.input(
        f"sine=frequency={frequency}:sample_rate=48000:duration={seconds}", f="lavfi"
    )
    output = ffmpeg.output(
        picture, sound, str(path), vcodec="libx264", acodec="aac", pix_fmt="yuv420p",
        movflags="faststart",
    )  # fmt: skip
    run_ffmpeg(output, 60)
    return path.read_bytes()


def png_pixels(png: bytes) -> Any:
    """The pixels of a PNG, height by width by red, green and blue."""
    with av.open(io.BytesIO(png), "r", format="png_pipe") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")
