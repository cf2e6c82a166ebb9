"""Reads an iCalendar text line by line before any parser does, and lets through what is bounded.

Parsers and recurrence libraries do what they are told, such as walking an impossible rule up to
the year 9999. So whatever could take long is refused here, in words, and what nobody needs (alarms,
attachments) is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from core.invites import limits
from core.invites.refusals import unreadable, unsupported

FREQUENCIES: Final = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
KEPT: Final = frozenset({"VCALENDAR", "VEVENT", "VTIMEZONE", "STANDARD", "DAYLIGHT"})
DROPPED: Final = frozenset({"ATTACH", "STYLED-DESCRIPTION"})
TIMES: Final = frozenset({"DTSTART", "DTEND", "RECURRENCE-ID", "RDATE", "EXDATE"})
_FOLD: Final = re.compile(r"\r?\n[ \t]")
_FOLDED_BYTES: Final = re.compile(rb"\r?\n[ \t]")
_LINE: Final = re.compile(r"([A-Za-z0-9-]{1,100})((?:;(?:[^\":;]|\"[^\"]*\")*)*):(.*)", re.DOTALL)
_FLOATING: Final = re.compile(r"\d{8}T\d{6}(,\d{8}T\d{6})*")


def unfolded(data: bytes) -> bytes:
    """Without the breaks in long lines, which may lie between the bytes of one character.

    UTF-16, with its zeros, is left as it is.
    """
    return data if b"\x00" in data else _FOLDED_BYTES.sub(b"", data)


@dataclass
class Screen:
    """One text; `zone` is what times without a zone are in, unless the calendar says so."""

    zone: str
    lines: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _skipped: int = 0
    _events: int = 0
    _zones: int = 0
    _observances: int = 0
    _rules: int = 0
    _dates: int = 0

    def read(self, text: str) -> str:
        """The lines that a parser may see.

        Raises:
            InviteRefused: it is no calendar, or asks for more than the limits allow.
        """
        if len(text.encode(errors="replace")) > limits.MOST_BYTES:
            raise unsupported(f"it has more than {limits.MOST_BYTES // 1024} KiB")
        plain = _FOLD.sub("", text.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n"))
        found = plain.split("\n", limits.MOST_LINES + 1)
        if len(found) > limits.MOST_LINES:
            raise unsupported(f"it has more than {limits.MOST_LINES} lines")
        parsed = [match for line in found if (match := _LINE.fullmatch(line.strip("\ufeff \t")))]
        self.zone = _own_zone(parsed) or self.zone
        for match in parsed:
            if self._take(match[1].upper(), match[2], match[3]):
                break
        if not self.lines or self._open:
            raise unreadable("it does not begin and end as a calendar")
        return "\r\n".join([*self.lines, ""])

    def _take(self, name: str, parameters: str, value: str) -> bool:
        """Look at one line; whether it was the last one of the calendar."""
        if name == "BEGIN":
            self._begin(value.strip().upper())
        elif name == "END":
            return self._end(value.strip().upper())
        elif self._open and not self._skipped and name not in DROPPED:
            self._property(name, parameters, value)
        return False

    def _begin(self, kind: str) -> None:
        if not self._open and kind != "VCALENDAR":
            return
        if self._skipped or kind not in KEPT:
            self._skipped += 1
            return
        self._open.append(kind)
        if len(self._open) > limits.DEEPEST:
            raise unsupported("its parts lie too deep in each other")
        self._events += kind == "VEVENT"
        self._zones += kind == "VTIMEZONE"
        self._observances += kind in {"STANDARD", "DAYLIGHT"}
        if self._events > limits.MOST_EVENTS:
            raise unsupported(f"it has more than {limits.MOST_EVENTS} events")
        if self._zones > limits.MOST_ZONES or self._observances > limits.MOST_OBSERVANCES:
            raise unsupported("it has too many time zones")
        self.lines.append(f"BEGIN:{kind}")

    def _end(self, kind: str) -> bool:
        if self._skipped:
            self._skipped -= 1
            return False
        if not self._open:
            return False
        if self._open.pop() != kind:
            raise unreadable("its parts overlap")
        self.lines.append(f"END:{kind}")
        return not self._open

    def _property(self, name: str, parameters: str, value: str) -> None:
        if name in {"RRULE", "EXRULE"}:
            self._rule(value.strip().upper())
        if name in {"RDATE", "EXDATE"}:
            self._dates += value.count(",") + 1
            if self._dates > limits.MOST_DATES:
                raise unsupported(f"it lists more than {limits.MOST_DATES} dates")
        if name in TIMES and self._open[-1] == "VEVENT":
            parameters = self._with_zone(parameters, value.strip())
        self.lines.append(f"{name}{parameters}:{value}")

    def _with_zone(self, parameters: str, value: str) -> str:
        """Floating times are put into a zone, so that each occurrence is one moment."""
        if "TZID=" in parameters.upper() or not _FLOATING.fullmatch(value):
            return parameters
        return f"{parameters};TZID={self.zone}"

    def _rule(self, value: str) -> None:
        self._rules += self._open[-1] == "VEVENT"
        if self._rules > limits.MOST_RULES:
            raise unsupported("it has too many rules")
        parts = {
            key: text for key, _, text in (part.partition("=") for part in value.split(";") if part)
        }
        allowed = FREQUENCIES if self._open[-1] == "VEVENT" else {"YEARLY"}
        if parts.get("FREQ") not in allowed:
            raise unsupported("it repeats in a way that no meeting does")
        _check_number(parts.get("INTERVAL", "1"), limits.MOST_INTERVAL)
        _check_number(parts.get("COUNT", "1"), limits.MOST_COUNT)
        several = [key for key in ("BYHOUR", "BYMINUTE", "BYSECOND") if "," in parts.get(key, "")]
        values = sum(part.count(",") + 1 for key, part in parts.items() if key.startswith("BY"))
        if several or values > limits.MOST_BY_VALUES:
            raise unsupported("it repeats too often")


def _own_zone(parsed: list[re.Match[str]]) -> str | None:
    for match in parsed:
        if match[1].upper() == "X-WR-TIMEZONE":
            name = match[3].strip()
            return name if re.fullmatch(r"[A-Za-z0-9_+/ .-]{1,64}", name) else None
    return None


def _check_number(text: str, most: int) -> None:
    # A negative COUNT is written by some and means none.
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise unreadable("a rule has no proper number")
    if int(text) > most:
        raise unsupported("it repeats too often")
