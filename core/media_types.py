"""What a file is, by its first bytes: what people say of their files is a claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

MediaKind = Literal["audio", "image", "video"]

# What the bot can play, show and share (API-71), and how people call it.
PLAYABLE: Final[Mapping[MediaKind, Mapping[str, str]]] = {
    "audio": {
        "audio/wav": "WAV",
        "audio/mpeg": "MP3",
        "audio/ogg": "Ogg",
        "audio/mp4": "M4A",
    },
    "image": {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WebP"},
    "video": {"video/mp4": "MP4"},
}

_STARTS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
)
_RIFFS: Final = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}
_OGG_AUDIO: Final = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
_M4A_BRANDS: Final = (b"M4A ", b"M4B ")
_MP4_BRANDS: Final = (b"iso", b"mp4", b"avc1", b"M4V ", b"dash", b"MSNV", b"f4v ")


def media_type_of(data: bytes) -> str | None:
    """The media type of `data`; None when it is nothing that is known here."""
    for start, found in _STARTS:
        if data.startswith(start):
            return found
    if data[:4] == b"RIFF":
        return _RIFFS.get(data[8:12])
    if data[:4] == b"OggS":
        return _ogg(data)
    if data[4:8] == b"ftyp":
        return _iso(data)
    if _is_mp3_frame(data):
        return "audio/mpeg"
    return "text/html" if data[:512].lstrip().lower().startswith((b"<!doctype", b"<html")) else None


def _ogg(data: bytes) -> str:
    """By the first packet, which follows the table of segments of the first page."""
    first = data[27 + data[26] :] if len(data) > 26 else b""
    return "audio/ogg" if first.startswith(_OGG_AUDIO) else "video/ogg"


def _iso(data: bytes) -> str | None:
    brand = data[8:12]
    if brand in _M4A_BRANDS:
        return "audio/mp4"
    if brand == b"qt  ":
        return "video/quicktime"
    return "video/mp4" if brand.startswith(_MP4_BRANDS) else None


def _is_mp3_frame(data: bytes) -> bool:
    """A frame header of MPEG layer III with a bit rate and a sampling rate that exist."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    rate, sampling = data[2] >> 4, data[2] >> 2 & 3
    return version != 1 and layer == 1 and rate not in (0, 15) and sampling != 3
