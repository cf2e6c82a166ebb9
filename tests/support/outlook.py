"""`winmail.dat` as Outlook writes it: attributes, and properties of a meeting (MS-OXTNEF)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from intake.mail import TNEF_SIGNATURE

APPOINTMENT: Final = UUID("00062002-0000-0000-c000-000000000046")
MEETING: Final = UUID("6ed8da90-450b-101b-98da-00aa003f1305")
_BOOLEAN, _INTEGER, _TEXT, _TIME, _BINARY = 0x000B, 0x0003, 0x001F, 0x0040, 0x0102
Value = bool | int | str | datetime | bytes
Property = tuple[int, Value] | tuple[UUID, int, Value]


def tnef(*attributes: tuple[int, int, bytes]) -> bytes:
    """Level, attribute, content; each with the sum of its bytes."""
    parts = [TNEF_SIGNATURE, struct.pack("<H", 1)]
    for level, attribute, content in attributes:
        head = struct.pack("<BII", level, attribute, len(content))
        parts.append(head + content + struct.pack("<H", sum(content) & 0xFFFF))
    return b"".join(parts)


def winmail(message_class: str, properties: Sequence[Property]) -> bytes:
    """A message of a class with properties, as UTF-16 and in the code page that it names first."""
    return tnef(
        (1, 0x00069007, struct.pack("<II", 1252, 0)),
        (1, 0x00078008, message_class.encode() + b"\0"),
        (1, 0x00069003, _packed(properties)),
    )


def meeting_request(
    start: datetime,
    end: datetime,
    *,
    link: str,
    uid: bytes,
    organizer: str = "ada@example.com",
    kind: str = "IPM.Schedule.Meeting.Request",
    more: Sequence[Property] = (),
) -> bytes:
    """What Exchange sends to people whom it takes for its own."""
    return winmail(
        kind,
        [
            (0x0037, "Weekly"),
            (0x5D02, organizer),
            (0x1000, f"Join here: {link}"),
            (0x0039, datetime(2026, 5, 1, tzinfo=UTC)),
            (APPOINTMENT, 0x820D, start),
            (APPOINTMENT, 0x820E, end),
            (APPOINTMENT, 0x8201, 2),
            (APPOINTMENT, 0x8208, "Our room"),
            (MEETING, 0x0003, global_id(uid)),
            *more,
        ],
    )


def global_id(data: bytes) -> bytes:
    """A PidLidGlobalObjectId around what tells meetings apart."""
    made = bytes.fromhex("040000008200E00074C5B7101A82E008") + bytes(4)
    return made + bytes(8) + bytes(8) + struct.pack("<I", len(data)) + data


def _packed(properties: Sequence[Property]) -> bytes:
    parts = [struct.pack("<I", len(properties))]
    for number, one in enumerate(properties):
        kind, content = _value(one[-1])
        match one:
            case (int(tag), _):
                head = struct.pack("<HH", kind, tag)
            case (UUID() as name, int(known_as), _):
                head = struct.pack("<HH", kind, 0x8000 + number)
                head += name.bytes_le + struct.pack("<II", 0, known_as)
        parts.append(head + content)
    return b"".join(parts)


def _value(value: Value) -> tuple[int, bytes]:
    match value:
        case bool():
            return _BOOLEAN, struct.pack("<HH", value, 0)
        case int():
            return _INTEGER, struct.pack("<i", value)
        case datetime():
            ticks = round((value - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds() * 10**7)
            return _TIME, struct.pack("<Q", ticks)
        case str():
            data = value.encode("utf-16-le") + b"\0\0"
            return _TEXT, _counted(data)
        case bytes():
            return _BINARY, _counted(value)


def _counted(data: bytes) -> bytes:
    return struct.pack("<II", 1, len(data)) + data + bytes(-len(data) % 4)
