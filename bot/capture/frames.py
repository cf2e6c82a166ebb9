"""Encoded frames as they leave the page: the wire format of `page/frames.js`, parsed strictly.

A page document sends one byte stream of records in numbered chunks. Each record is a header of
36 bytes, little-endian, the contributing sources, then the payload.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_RECORD: Final = struct.Struct("<IHBBIIHBBdfHH")
_MAX_RECORD: Final = 4 * 1024 * 1024
CODECS: Final = ("opus", "red", "vp8", "vp9", "h264", "av1")
Codec = Literal["opus", "red", "vp8", "vp9", "h264", "av1", "unknown"]

_KEY: Final = 1
_DELAYED: Final = 2

Short = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0, lt=2**31)]


class Message(BaseModel):
    """What the page claims; everything in it is checked and bounded before use."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, allow_inf_nan=False
    )


class FrameChunk(Message):
    """Part `n` of a document's byte stream; `first` says that a record starts right here."""

    doc: Short
    n: Count
    first: bool
    at: float
    data: Annotated[str, Field(max_length=700_000)]


class TrackSeen(Message):
    """A received track: `index` is its number in this document's records."""

    doc: Short
    index: Annotated[int, Field(ge=0, lt=65_536)]
    track_id: Short
    kind: Literal["audio", "video"]
    stream_ids: Annotated[tuple[Short, ...], Field(max_length=16)] = ()
    mid: Short | None = None


class TrackGone(Message):
    doc: Short
    index: Annotated[int, Field(ge=0, lt=65_536)]


class CaptureAlarm(Message):
    """Something about capturing that a person should know; `track_id` where it concerns one."""

    doc: Short
    reason: Literal["no-frames", "fallback", "worker-failed", "encoder-failed", "tap-failed"]
    track_id: Short | None = None
    detail: Annotated[str, Field(max_length=500)] = ""


class KeyFrameRequests(Message):
    """Picture-loss and full-intra requests that this document's receivers have sent so far."""

    doc: Short
    count: Count


@dataclass(frozen=True)
class Frame:
    """One encoded frame. `arrival_ms` is since 1970; `level` is linear, 0-1, where sent.

    `rtp` and `sequence` are the wire's 32 and 16 bits. `delayed`: decoded and encoded again in
    the page, so that its time includes the jitter buffer and it has no sequence number.
    """

    index: int
    codec: Codec
    key: bool
    delayed: bool
    ssrc: int
    rtp: int
    sequence: int
    csrcs: tuple[int, ...]
    arrival_ms: float
    level: float | None
    width: int
    height: int
    payload: bytes


class BadFrames(Exception):
    """The byte stream of a document is not what `page/frames.js` writes."""


class FrameStream:
    """Reassembles one document's byte stream into frames."""

    def __init__(self) -> None:
        self._next = 0
        self._rest = b""
        self._in_step = True

    def feed(self, chunk: FrameChunk) -> Iterator[Frame]:
        """The frames that this chunk completes.

        Raises:
            BadFrames: not base64, or a record that cannot be; the next chunk that starts a
                record starts afresh.
        """
        try:
            data = base64.b64decode(chunk.data, validate=True)
        except binascii.Error as error:
            raise BadFrames("not base64") from error
        if chunk.first:
            self._rest, self._in_step = b"", True
        elif chunk.n != self._next:
            self._rest, self._in_step = b"", False
        self._next = chunk.n + 1
        if not self._in_step:
            return
        self._rest += data
        yield from self._records()

    def _records(self) -> Iterator[Frame]:
        at = 0
        while len(self._rest) - at >= _RECORD.size:
            size = int.from_bytes(self._rest[at : at + 4], "little")
            if not _RECORD.size <= size <= _MAX_RECORD:
                self._rest, self._in_step = b"", False
                raise BadFrames(f"a record of {size} bytes")
            if len(self._rest) - at < size:
                break
            yield parse_record(self._rest[at : at + size])
            at += size
        self._rest = self._rest[at:]


def parse_record(record: bytes) -> Frame:
    (
        _size, index, codec, flags, ssrc, rtp, sequence, _payload_type, csrc_count,
        arrival_ms, level, width, height,
    ) = _RECORD.unpack_from(record)  # fmt: skip
    body = _RECORD.size + 4 * csrc_count
    if body > len(record) or not math.isfinite(arrival_ms):
        raise BadFrames("a record that contradicts itself")
    return Frame(
        index=index,
        codec=CODECS[codec] if codec < len(CODECS) else "unknown",
        key=bool(flags & _KEY),
        delayed=bool(flags & _DELAYED),
        ssrc=ssrc,
        rtp=rtp,
        sequence=sequence,
        csrcs=struct.unpack_from(f"<{csrc_count}I", record, _RECORD.size),
        arrival_ms=arrival_ms,
        level=min(max(level, 0.0), 1.0) if math.isfinite(level) else None,
        width=width,
        height=height,
        payload=record[body:],
    )


def pack_record(frame: Frame) -> bytes:
    """The record of a frame, as the page writes it; for tests and tools."""
    csrcs = struct.pack(f"<{len(frame.csrcs)}I", *frame.csrcs)
    size = _RECORD.size + len(csrcs) + len(frame.payload)
    codec = CODECS.index(frame.codec) if frame.codec in CODECS else 255
    flags = (_KEY if frame.key else 0) | (_DELAYED if frame.delayed else 0)
    head = _RECORD.pack(
        size, frame.index, codec, flags, frame.ssrc, frame.rtp, frame.sequence, 0,
        len(frame.csrcs), frame.arrival_ms, math.nan if frame.level is None else frame.level,
        frame.width, frame.height,
    )  # fmt: skip
    return head + csrcs + frame.payload
