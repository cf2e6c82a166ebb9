"""Which of two texts on one event counts, piece by piece (CAL-07, RFC 5546). Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from icalendar.prop import vRecur

from core.invites.links import CONFERENCE, WRITTEN
from core.invites.occurrences import cancelled_occurrence, ends_of, is_range, takes_place
from core.invites.reading import Component, Series, recurrence_of, version_of

# What decides when a series takes place: with a new one, its old exceptions are over.
WHEN = ("DTSTART", "RRULE", "RDATE")
# Where a rule ends decides only which of them are.
END: Final = ("UNTIL", "COUNT")
# What is kept of an event; the rest, such as hundreds of attendees, would fill its invitation.
KEPT: Final = frozenset(
    {
        *("UID", "SEQUENCE", "DTSTAMP", "LAST-MODIFIED", "STATUS", "RECURRENCE-ID"),
        *("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE"),
        *("SUMMARY", "ORGANIZER", *CONFERENCE, *WRITTEN),
    }
)
# So long after its end an occurrence can still be told of.
OVER: Final = timedelta(days=2)


def merged(known: Series | None, told: Series) -> Series | None:
    """All that is known now; None when `told` is older than that.

    A series that takes place at other times than before drops its exceptions; one that ends at
    another time drops those behind its end.
    """
    if known is None:
        return told
    before, after = _by_recurrence(known.events), _by_recurrence(told.events)
    newer = {key: event for key, event in after.items() if not _outdated(before.get(key), event)}
    if not newer:
        return None
    if None in newer and None in before:
        if _moved(before[None], newer[None]):
            before = {None: before[None]}
        elif _spelled(before[None].get("RRULE")) != _spelled(newer[None].get("RRULE")):
            before = _inside(before, Series(told.uid, [newer[None]], told.zones))
    zones = {str(zone.get("TZID")): zone for zone in (*known.zones, *told.zones)}
    return Series(told.uid, list((before | newer).values()), list(zones.values()))


def with_cancelled(told: Series) -> Series:
    """A text that cancels single occurrences, as it is kept."""
    return Series(told.uid, [cancelled_occurrence(event) for event in told.events], told.zones)


def added(told: Series) -> Series:
    """A text that adds occurrences to a series, as it is kept: as single ones (RFC 5546, 3.2.4)."""
    return Series(told.uid, [_single(event) for event in told.events], told.zones)


def since(known: Series, moment: datetime) -> Series | None:
    """What was said after `moment`; None for nothing."""
    events = [event for event in known.events if version_of(event)[1] > moment]
    return Series(known.uid, events, known.zones) if events else None


def kept(series: Series, now: datetime) -> Series:
    """What has to be remembered: without what is over, and without what nobody asks for again."""
    lasting = [event for event in series.events if not _is_over(event, now)]
    events = [_bare(event) for event in lasting or series.events[:1]]
    named = {
        str(value.params.get("TZID"))
        for event in events
        for name in ("DTSTART", "DTEND", "RECURRENCE-ID", "RDATE", "EXDATE")
        for value in _values(event.get(name))
    }
    zones = [zone for zone in series.zones if str(zone.get("TZID")) in named]
    return Series(series.uid, events, zones)


def newest(series: Series) -> tuple[int, datetime]:
    """Sequence number and stamp of what was said last."""
    return max(version_of(event) for event in series.events)


def cancels_all(series: Series, method: str) -> bool:
    """Whether the whole event is off."""
    master = series.master
    if master is None:
        return False
    return method == "CANCEL" or str(master.get("STATUS", "")).strip().upper() == "CANCELLED"


def _by_recurrence(events: Iterable[Component]) -> dict[str | None, Component]:
    """One text per occurrence: the newest, whatever their order."""
    ordered = sorted(events, key=version_of)
    return {recurrence_of(event): event for event in ordered}


def _outdated(known: Component | None, told: Component) -> bool:
    return known is not None and version_of(told) < version_of(known)


def _moved(known: Mapping[str, object], told: Mapping[str, object]) -> bool:
    return any(_when(known.get(name)) != _when(told.get(name)) for name in WHEN)


def _when(value: Any) -> bytes:
    """As `_spelled`, wherever a rule ends."""
    return _spelled([_endless(one) if isinstance(one, vRecur) else one for one in _values(value)])


def _endless(rule: vRecur) -> vRecur:
    return vRecur({name: value for name, value in rule.items() if name not in END})


def _spelled(value: Any) -> bytes:
    return b",".join(one.to_ical() for one in _values(value))


def _values(value: Any) -> list[Any]:
    values: list[Any] = value if isinstance(value, list) else [value]
    return [one for one in values if one is not None]


def _inside(before: Mapping[str | None, Component], master: Series) -> dict[str | None, Component]:
    """The exceptions of which the series still has the occurrence."""
    return {
        key: event
        for key, event in before.items()
        if key is None or takes_place(master, event["RECURRENCE-ID"].dt)
    }


def _single(event: Component) -> Component:
    made = copy.copy(event)
    if "RECURRENCE-ID" not in made:
        made["RECURRENCE-ID"] = made["DTSTART"]
    return made


def _bare(event: Component) -> Component:
    made = copy.copy(event)
    for name in set(made) - KEPT:
        made.pop(name)
    return made


def _is_over(event: Component, now: datetime) -> bool:
    """Whether a single occurrence is over, when it was to be and when it was."""
    if "RECURRENCE-ID" not in event or is_range(event):
        return False
    return ends_of(event) < now - OVER
