"""What of a `winmail.dat` is handed to its reader, and that it is read soon (MS-OXTNEF).

`tnefparse` goes on as often as counts in the file say, four billion times where they say so, and
copies the rest of the file for each attribute. So the file is walked here first: attributes that
nobody needs are left out, and one that would keep the reader busy is refused.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from tnefparse import TNEF

from core.invites.refusals import unsupported

MOST_ATTRIBUTES: Final = 500
# Properties and their values, all in all; a meeting request has about a hundred.
MOST_VALUES: Final = 20_000

_HEADER: Final = 6
# Level, name, type and length before an attribute's data, and the checksum behind it.
_BEFORE, _BEHIND = 9, 2
_PROPERTIES: Final = TNEF.ATTMAPIPROPS
# Recipients and an attachment's own properties are left out: nobody reads them, and they nest.
_WANTED: Final = frozenset(
    {
        _PROPERTIES,
        TNEF.ATTMESSAGECLASS,
        TNEF.ATTOEMCODEPAGE,
        TNEF.ATTBODY,
        TNEF.ATTATTACHRENDDATA,
        TNEF.ATTATTACHDATA,
    }
)
_NAMED: Final = 0x8000
_MULTIPLE: Final = 0x1000
# Bytes of each kind of value that has a fixed size.
_FIXED: Final = {
    **dict.fromkeys((0x0002, 0x000B), 2),
    **dict.fromkeys((0x0003, 0x0004, 0x000A), 4),
    **dict.fromkeys((0x0005, 0x0006, 0x0007, 0x0014, 0x0040), 8),
    0x0048: 16,
}
_VARIABLE: Final = frozenset({0x0000, 0x000D, 0x001E, 0x001F, 0x0102})


def read_tnef(data: bytes) -> Any:
    """The parts of an envelope that say anything of a meeting, as a `tnefparse.TNEF`.

    Raises:
        InviteRefused: there is more in it than any mail program writes.
        Exception: whatever `tnefparse` meets in a damaged one.
    """
    kept, at, count = [data[:_HEADER]], _HEADER, 0
    while at + _BEFORE + _BEHIND < len(data):
        count += 1
        if count > MOST_ATTRIBUTES:
            raise unsupported(f"winmail.dat has more than {MOST_ATTRIBUTES} attributes")
        (name,) = struct.unpack_from("<H", data, at + 1)
        (size,) = struct.unpack_from("<I", data, at + 5)
        end = at + _BEFORE + size + _BEHIND
        if name in _WANTED:
            kept.append(data[at:end])
        if name == _PROPERTIES:
            _Walk(data[at + _BEFORE : end - _BEHIND]).properties()
        at = end
    return TNEF(b"".join(kept), do_checksum=False)


class _Walk:
    """Goes through properties as `tnefparse` does, and counts how often it would go round."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._left = MOST_VALUES

    def properties(self) -> None:
        """Up to the end, or to a kind that the reader does not know, where it ends as well."""
        for _ in range(self._count()):
            if self._at >= len(self._data) or not self._property():
                return

    def _property(self) -> bool:
        kind, tag = self._number("<H"), self._number("<H")
        if tag >= _NAMED:
            self._skip(16)
            by_name = self._number("<I")
            self._skip(_padded(self._number("<I")) if by_name else 4)
        several, kind = bool(kind & _MULTIPLE), kind & ~_MULTIPLE
        if kind in _FIXED:
            values = max(1, self._count()) if several else 1
            size = values * _FIXED[kind]
            self._skip(_padded(size))
        elif kind in _VARIABLE:
            values = self._count()
            for _ in range(max(1, values) if several else values):
                self._skip(_padded(self._number("<I")))
        else:
            return False
        return True

    def _count(self) -> int:
        count = self._number("<I")
        self._left -= count
        if self._left < 0:
            raise unsupported(f"winmail.dat has more than {MOST_VALUES} values")
        return count

    def _number(self, form: str) -> int:
        number: int
        (number,) = struct.unpack_from(form, self._data, self._at)
        self._skip(struct.calcsize(form))
        return number

    def _skip(self, size: int) -> None:
        self._at += size


def _padded(size: int) -> int:
    return (size + 3) // 4 * 4
