"""What a file is, by its bytes: real files of ffmpeg, and what pretends to be one (API-71)."""

from __future__ import annotations

from pathlib import Path

import ffmpeg
import pytest

from core.media import run_ffmpeg
from core.media_types import media_type_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.wav", {}, "audio/wav"),
        ("a.mp3", {}, "audio/mpeg"),
        ("bare.mp3", {"id3v2_version": 0, "write_xing": 0}, "audio/mpeg"),
        ("a.ogg", {"acodec": "libopus"}, "audio/ogg"),
        ("a.m4a", {"acodec": "aac"}, "audio/mp4"),
        ("a.flac", {}, "audio/flac"),
        ("a.aac", {"acodec": "aac"}, None),
    ],
)
def test_sound(tmp_path: Path, name: str, options: dict[str, object], expected: str) -> None:
    tone = ffmpeg.input("sine=duration=0.1", f="lavfi")
    path = tmp_path / name
    run_ffmpeg(tone.output(str(path), **options), 20)
    assert media_type_of(path.read_bytes()) == expected


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.png", {"vframes": 1}, "image/png"),
        ("a.jpg", {"vframes": 1}, "image/jpeg"),
        ("a.gif", {}, "image/gif"),
        ("a.mp4", {"pix_fmt": "yuv420p"}, "video/mp4"),
        ("a.mov", {"pix_fmt": "yuv420p"}, "video/quicktime"),
        ("a.webm", {"vcodec": "libvpx"}, "video/webm"),
    ],
)
def test_pictures(tmp_path: Path, name: str, options: dict[str, object], expected: str) -> None:
    picture = ffmpeg.input("color=size=32x32:duration=0.2", f="lavfi")
    path = tmp_path / name
    run_ffmpeg(picture.output(str(path), **options), 20)
    assert media_type_of(path.read_bytes()) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x24\x00\x00\x00AVI LIST", "video/x-msvideo"),
        (b"\n <!DOCTYPE html><p>", "text/html"),
        (b"%PDF-1.7", "application/pdf"),
        (b"OggS" + bytes(22) + b"\x01\x2a\x80theora", "video/ogg"),
        (b"OggS", "video/ogg"),
        (b"\xff\xfe\x00\x00", None),
        (b"\xff", None),
        (b"", None),
        (b"hello", None),
    ],
)
def test_bytes_alone(data: bytes, expected: str | None) -> None:
    assert media_type_of(data) == expected
