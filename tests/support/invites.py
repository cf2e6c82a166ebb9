"""Calendar texts as people's programs write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MEET: Final = "https://meet.google.com/abc-defg-hij"

BERLIN: Final = """BEGIN:VTIMEZONE
TZID:Berlin as we know it
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE"""


def event(
    *lines: str,
    uid: str = "one@example.com",
    start: str = "DTSTART:20260520T090000Z",
    end: str | None = "DTEND:20260520T093000Z",
    sequence: int = 0,
    stamp: str = "20260501T000000Z",
    organizer: str | None = "ada@example.com",
    link: str | None = f"LOCATION:{MEET}",
) -> str:
    """One VEVENT; `lines` are added."""
    found = [
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{stamp}",
        f"SEQUENCE:{sequence}",
        start,
        end,
        f"ORGANIZER;CN=Ada:mailto:{organizer}" if organizer else None,
        "SUMMARY:Weekly",
        link,
        *lines,
        "END:VEVENT",
    ]
    return "\r\n".join(line for line in found if line)


def calendar(*parts: str, method: str | None = "REQUEST", lines: Sequence[str] = ()) -> str:
    """A VCALENDAR around events and zones."""
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tests//EN", *lines]
    if method is not None:
        head.append(f"METHOD:{method}")
    return "\r\n".join([*head, *parts, "END:VCALENDAR", ""])


def zone(
    name: str,
    winter: str,
    summer: str | None = None,
    begins: tuple[str, str, str] | None = None,
    ends: tuple[str, str, str] | None = None,
) -> str:
    """A VTIMEZONE with rules: (month, weekday, hour by the clock before) of each change."""

    def part(kind: str, old: str, new: str, when: tuple[str, str, str] | None) -> list[str]:
        month, day, hour = when or ("1", "", "00")
        rule = [f"RRULE:FREQ=YEARLY;BYDAY={day};BYMONTH={month}"] if when else []
        change = [f"TZOFFSETFROM:{old}", f"TZOFFSETTO:{new}", *rule]
        return [f"BEGIN:{kind}", f"DTSTART:1970{month:0>2}01T{hour}0000", *change, f"END:{kind}"]

    lines = ["BEGIN:VTIMEZONE", f"TZID:{name}", *part("STANDARD", summer or winter, winter, ends)]
    if summer is not None:
        lines += part("DAYLIGHT", winter, summer, begins)
    return "\r\n".join([*lines, "END:VTIMEZONE"])
