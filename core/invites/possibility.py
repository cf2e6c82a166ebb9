"""Whether a rule takes place at all: one that never does is looked for up to the year 9999."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from dateutil.rrule import rrule, rrulestr
from icalendar.prop import vRecur

from core.invites.refusals import unreadable, unsupported

# After so many years the calendar begins again: the same dates on the same days of the week.
CYCLE: Final = 400
LAST_YEAR: Final = 9999
# Alone, and with these, there is always a next occurrence.
HARMLESS: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"})


def check_possible(rule: vRecur, start: date) -> None:
    """Refuse a rule without any occurrence.

    It is tried from the same day of the last cycle that there is, so that the search soon ends.

    Raises:
        InviteRefused: it never takes place, or is no rule.
    """
    if set(rule) <= HARMLESS:
        return
    bare: Any = vRecur(
        {name: value for name, value in rule.items() if name not in ("COUNT", "UNTIL")}
    )
    year = start.year + (LAST_YEAR - start.year) // CYCLE * CYCLE
    try:
        tried = rrulestr(bare.to_ical().decode(), dtstart=datetime(year, start.month, start.day))  # noqa: DTZ001
    except ValueError as exc:
        raise unreadable("a rule is none") from exc
    if not isinstance(tried, rrule) or next(iter(tried), None) is None:
        raise unsupported("it repeats on days that do not exist")
