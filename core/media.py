"""The ffmpeg binary: where it is, and how it is run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

import ffmpeg

from core.errors import MeetbotError

# As ffmpeg calls them. WebM is a part of Matroska.
Container = Literal["webm", "matroska"]
# By how files end.
CONTAINERS: Final[Mapping[str, Container]] = {".webm": "webm", ".mkv": "matroska"}


class FfmpegMissing(MeetbotError):
    code = "internal_error"


class FfmpegFailed(MeetbotError):
    code = "internal_error"


@cache
def ffmpeg_path() -> str:
    """ffmpeg on the PATH, else the binary that the imageio-ffmpeg wheel ships.

    Raises:
        FfmpegMissing: neither is there.
    """
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise FfmpegMissing(
            "No ffmpeg found. Install it (apt install ffmpeg, brew install ffmpeg) or reinstall "
            "the imageio-ffmpeg wheel."
        ) from error


def run_ffmpeg(stream: ffmpeg.nodes.OutputStream, timeout_seconds: float) -> bytes:
    """Run a command line built with ffmpeg-python; its stdout.

    Raises:
        FfmpegFailed: it exited with an error or took longer than `timeout_seconds`.
    """
    command = [ffmpeg_path(), "-nostdin", "-hide_banner", "-loglevel", "error"]
    command += ffmpeg.get_args(stream.overwrite_output())
    try:
        done = subprocess.run(  # noqa: S603 - our own command line, no shell
            command, capture_output=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FfmpegFailed(f"ffmpeg did not finish within {timeout_seconds:g} s.") from error
    if done.returncode != 0:
        detail = done.stderr.decode(errors="replace").strip()[-500:]
        raise FfmpegFailed(f"ffmpeg failed with code {done.returncode}: {detail}")
    return done.stdout


def remux(
    source: Path, target: Path, container: Container = "webm", timeout_seconds: float = 120
) -> None:
    """Copy the streams of a possibly truncated file into one with duration and cues.

    The picture comes first: a MediaRecorder numbers its tracks by what arrives first.
    """
    media = ffmpeg.input(str(source))
    stream = ffmpeg.output(
        media["v"], media["a?"], str(target), c="copy", format=container, cues_to_front=1
    )
    run_ffmpeg(stream, timeout_seconds)
