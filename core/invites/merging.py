"""Which of two texts on one event counts, piece by piece (CAL-07, RFC 5546). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from core.invites.occurrences import cancelled_occurrence
from core.invites.reading import Component, Series, recurrence_of, version_of

# What decides when a series takes place: with a new one, its old exceptions are over.
WHEN = ("DTSTART", "RRULE", "RDATE")


def merged(known: Series | None, told: Series) -> Series | None:
    """All that is known now; None when `told` is older than that.

    A series that takes place at other times than before drops its exceptions.
    """
    if known is None:
        return told
    before, after = _by_recurrence(known.events), _by_recurrence(told.events)
    newer = {key: event for key, event in after.items() if not _outdated(before.get(key), event)}
    if not newer:
        return None
    if None in newer and None in before and _moved(before[None], newer[None]):
        before = {None: before[None]}
    zones = {str(zone.get("TZID")): zone for zone in (*known.zones, *told.zones)}
    return Series(told.uid, list((before | newer).values()), list(zones.values()))


def with_cancelled(told: Series) -> Series:
    """A text that cancels single occurrences, as it is kept."""
    return Series(told.uid, [cancelled_occurrence(event) for event in told.events], told.zones)


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
    return any(_spelled(known.get(name)) != _spelled(told.get(name)) for name in WHEN)


def _spelled(value: Any) -> bytes:
    values: list[Any] = value if isinstance(value, list) else [value]
    return b",".join(one.to_ical() for one in values if one is not None)
