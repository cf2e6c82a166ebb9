"""A feed cut into its series, each a calendar of its own, without what is over (CAL-03).

Feeds carry years of meetings. The limits of `core.invites` are those of one invite, so each series
is read by itself: a strange one takes no other with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from core.errors import BadInput

MOST_SERIES: Final = 2_000
MOST_LINES: Final = 400_000
_FOLD: Final = re.compile(r"\r?\n[ \t]")
_DATE: Final = re.compile(r"\d{8}")
_UNTIL: Final = re.compile(r"UNTIL=(\d{8})", re.IGNORECASE)
_TZID: Final = re.compile(r";TZID=\"?([^\";:]+)", re.IGNORECASE)
REPEATING: Final = frozenset({"RRULE", "RDATE", "EXRULE"})
DATED: Final = frozenset({"DTSTART", "DTEND", "RECURRENCE-ID"})
# Longer than any meeting that is taken, and than any difference between time zones.
SLACK: Final = timedelta(days=16)


def series_texts(text: str, after: datetime) -> Iterator[str]:
    """The calendars of all events that may take place after `after`, by UID.

    Raises:
        BadInput: it is no calendar, or has too much in it.
    """
    plain = _FOLD.sub("", text.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n"))
    lines = plain.split("\n", MOST_LINES + 1)
    if len(lines) > MOST_LINES:
        raise BadInput(f"The feed has more than {MOST_LINES} lines.")
    if not any(line.strip("\ufeff \t").upper() == "BEGIN:VCALENDAR" for line in lines[:100]):
        raise BadInput("The feed is no calendar: it does not begin with BEGIN:VCALENDAR.")
    if not any(line.strip().upper() == "END:VCALENDAR" for line in lines[-100:]):
        # What is missing would be taken for meetings that are called off.
        raise BadInput("The feed breaks off: it does not end with END:VCALENDAR.")
    head, zones, events = _parts(lines)
    first = f"{(after.astimezone(UTC) - SLACK):%Y%m%d}"
    kept = {uid for uid, blocks in events.items() if any(_may_come(one, first) for one in blocks)}
    if len(kept) > MOST_SERIES:
        raise BadInput(f"The feed has more than {MOST_SERIES} events that are still to come.")
    for uid in kept:
        # Of the others of its series only those that change what is to come.
        blocks = [one for one in events[uid] if _may_come(one, first)]
        yield _calendar(head, zones, blocks)


def _parts(
    lines: Iterable[str],
) -> tuple[list[str], dict[str, list[str]], dict[str, list[list[str]]]]:
    """Lines of the calendar itself, its time zones by name, its events by UID."""
    head: list[str] = []
    zones: dict[str, list[str]] = {}
    events: dict[str, list[list[str]]] = {}
    block: list[str] | None = None
    kind = ""
    for raw in lines:
        line = raw.strip("\ufeff \t")
        upper = line[:40].upper()
        if block is None:
            if upper in {"BEGIN:VEVENT", "BEGIN:VTIMEZONE"}:
                block, kind = [line], upper[6:]
            elif upper.startswith("X-WR-TIMEZONE"):
                head.append(line)
            continue
        block.append(line)
        if upper == f"END:{kind}":
            name = _value(block, "UID" if kind == "VEVENT" else "TZID")
            if kind == "VEVENT":
                events.setdefault(name, []).append(block)
            else:
                zones[name] = block
            block = None
    return head, zones, events


def _calendar(
    head: Sequence[str], zones: dict[str, list[str]], blocks: Sequence[Sequence[str]]
) -> str:
    named = {name.strip() for block in blocks for line in block for name in _TZID.findall(line)}
    found = ["BEGIN:VCALENDAR", "VERSION:2.0", *head]
    for name in sorted(named & zones.keys()):
        found += zones[name]
    for block in blocks:
        found += block
    return "\r\n".join([*found, "END:VCALENDAR", ""])


def _may_come(block: Sequence[str], first: str) -> bool:
    """Whether an event may take place on the day `first` or later, as far as its dates say."""
    rules = [line for line in block if _name(line) in REPEATING]
    if rules:
        until = [_UNTIL.search(rule) for rule in rules]
        return not all(found is not None and found[1] < first for found in until)
    dates = _DATE.findall(" ".join(line for line in block if _name(line) in DATED))
    return not dates or max(dates) >= first


def _name(line: str) -> str:
    """The property of a line."""
    return re.split("[:;]", line, maxsplit=1)[0].upper()


def _value(block: Sequence[str], name: str) -> str:
    return next((line.partition(":")[2].strip() for line in block if _name(line) == name), "")
