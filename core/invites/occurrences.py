"""The meetings that a series makes in a span of time, by `recurring-ical-events` (CAL-08)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from icalendar.prop import vDDDTypes, vRecur
from recurring_ical_events import CalendarQuery
from recurring_ical_events.errors import InvalidCalendar

from core.invites import limits
from core.invites.possibility import check_possible
from core.invites.reading import (
    PARSER_ERRORS,
    Component,
    Series,
    duration_of,
    moment_key,
    recurrence_of,
)
from core.invites.refusals import unreadable, unsupported

# The key of an event that does not repeat: it keeps it when it is moved.
SINGLE: Final = ""
MOST_INTERVAL: Final = 12


@dataclass(frozen=True)
class Occurrence:
    """One meeting. `key` is its original start, which stays when it is moved; times in UTC."""

    key: str
    start: datetime
    end: datetime
    all_day: bool
    cancelled: bool
    event: Component


def repeats(series: Series) -> bool:
    """Whether there may be several occurrences."""
    master = series.master
    return master is None or any(name in master for name in ("RRULE", "RDATE"))


def expand(series: Series, after: datetime, before: datetime) -> list[Occurrence]:
    """What takes place, or begins, between two moments, in order; cancelled ones marked.

    Raises:
        InviteRefused: a rule cannot be read, or there are too many occurrences.
    """
    oldest = after - limits.OLDEST
    bounded = Series(
        series.uid, [_bounded(event, oldest, before) for event in series.events], series.zones
    )
    single = not repeats(series)
    try:
        with warnings.catch_warnings():
            # COUNT beside the bound.
            warnings.simplefilter("ignore", DeprecationWarning)
            found = CalendarQuery(bounded.calendar).between(after, before)
    except (InvalidCalendar, *PARSER_ERRORS) as exc:
        raise unreadable(f"its dates do not fit together ({type(exc).__name__})") from exc
    if len(found) > limits.MOST_OCCURRENCES:
        raise unsupported(f"it has more than {limits.MOST_OCCURRENCES} occurrences")
    made = [_occurrence(event, shifts=_shifts(series), single=single) for event in found]
    return sorted(made, key=lambda one: (one.start, one.key))


def is_over(series: Series, now: datetime) -> bool:
    """Whether nothing of it can take place after `now`, as far as its rules say when they end."""
    return all(_latest(event) + duration_of(event) < now for event in series.events)


def counted_out(series: Series, now: datetime) -> bool:
    """Whether a series that takes place so many times has had them all."""
    rules = [rule for event in series.events for rule in _rules(event)]
    # Of these two occurrences are never more than a year apart.
    frequent = all(
        rule.get("COUNT", [-1])[0] > 0
        and rule.get("FREQ") != ["YEARLY"]
        and rule.get("INTERVAL", [1])[0] <= MOST_INTERVAL
        for rule in rules
    )
    return bool(rules) and frequent and not expand(series, now, now + timedelta(days=400))


def _latest(event: Component) -> datetime:
    """When the last occurrence begins, at the latest."""
    start = _moment(event["DTSTART"].dt)
    last = [start, *(_moment(value) for value in _listed(event, "RDATE"))]
    for rule in _rules(event):
        until = rule.get("UNTIL", [None])[0]
        if until is None:
            return datetime.max.replace(tzinfo=UTC) - timedelta(days=366)
        last.append(_moment(until) + timedelta(days=1))
    return max(last)


def _bounded(event: Component, oldest: datetime, before: datetime) -> Component:
    """The event with rules that end: what an endless one means after `before` is not asked."""
    start = event["DTSTART"].dt
    rules = _rules(event)
    if not rules:
        return event
    if _moment(start) < oldest:
        raise unsupported("it began too long ago")
    for rule in rules:
        check_possible(rule, start)
    made = copy.copy(event)
    made["RRULE"] = [_with_end(rule, start, before + timedelta(days=1)) for rule in rules]
    return made


def _with_end(rule: vRecur, start: date, before: datetime) -> vRecur:
    """The rule with an UNTIL, in UTC where its start has a time; a date means all of that day."""
    made = vRecur(rule)
    if made.get("COUNT", [1])[0] < 0:
        made.pop("COUNT")
    until = made.get("UNTIL", [None])[0]
    if not isinstance(start, datetime):
        days = [before.date()] if until is None else [before.date(), _moment(until).date()]
        made["UNTIL"] = [min(days)]
        return made
    if until is not None:
        before = min(before, _in_zone(until, start))
    made["UNTIL"] = [before.astimezone(UTC)]
    return made


def _in_zone(until: date, start: datetime) -> datetime:
    if not isinstance(until, datetime):
        until = datetime.combine(until, time(23, 59, 59))
    return until if until.tzinfo else until.replace(tzinfo=start.tzinfo)


def _rules(event: Component) -> list[vRecur]:
    value = event.get("RRULE")
    rules: Sequence[Any] = value if isinstance(value, list) else [value]
    return [rule for rule in rules if rule is not None]


def _listed(event: Component, name: str) -> list[date]:
    value = event.get(name)
    lists = value if isinstance(value, list) else [value]
    found = [one.dt for many in lists if many is not None for one in many.dts]
    # Periods begin with their start.
    return [one[0] if isinstance(one, tuple) else one for one in found]


def _moment(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def ends_of(event: Component) -> datetime:
    """When an occurrence is over, wherever it was moved from."""
    original = event["RECURRENCE-ID"].dt
    return max(_moment(original), _moment(event["DTSTART"].dt)) + duration_of(event)


def takes_place(series: Series, original: date) -> bool:
    """Whether a series has an occurrence that begins at `original`, as its rules say."""
    moment = _moment(original)
    found = expand(series, moment - timedelta(minutes=1), moment + timedelta(minutes=1))
    return any(one.start == moment and not one.cancelled for one in found)


def _shifts(series: Series) -> dict[str, timedelta]:
    """By how much all occurrences from one on are moved, by the key of that one."""
    return {
        moment_key(event["RECURRENCE-ID"].dt): _clock_time(event["DTSTART"].dt)
        - _clock_time(event["RECURRENCE-ID"].dt, event["DTSTART"].dt)
        for event in series.events
        if "RECURRENCE-ID" in event and is_range(event)
    }


def is_range(event: Component) -> bool:
    """Whether it is about an occurrence and all that follow."""
    value = event.get("RECURRENCE-ID")
    return str(getattr(value, "params", {}).get("RANGE", "")).upper() == "THISANDFUTURE"


def _clock_time(value: date, there: date | None = None) -> datetime:
    """What the clock on the wall says, in the zone of `there`."""
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001
    zone = there.tzinfo if isinstance(there, datetime) else None
    return (value.astimezone(zone) if zone else value).replace(tzinfo=None)


def _key(event: Component, shifts: Mapping[str, timedelta]) -> str:
    """Its original start. Those that were moved together all name the first of them."""
    start = event["DTSTART"].dt
    named = recurrence_of(event)
    if named is None:
        return moment_key(start)
    if named not in shifts:
        return named
    original = _clock_time(start) - shifts[named]
    if not isinstance(start, datetime):
        return moment_key(original.date())
    return moment_key(original.replace(tzinfo=start.tzinfo))


def _occurrence(event: Component, *, shifts: Mapping[str, timedelta], single: bool) -> Occurrence:
    start = event["DTSTART"].dt
    begins = _moment(start)
    return Occurrence(
        key=SINGLE if single else _key(event, shifts),
        start=begins,
        end=begins + duration_of(event),
        all_day=not isinstance(start, datetime),
        cancelled=str(event.get("STATUS", "")).strip().upper() == "CANCELLED",
        event=event,
    )


def cancelled_occurrence(event: Component) -> Component:
    """What is kept of a single occurrence that was cancelled, so that its series leaves it out."""
    made = copy.copy(event)
    made["STATUS"] = "CANCELLED"
    if recurrence := event.get("RECURRENCE-ID"):
        made["DTSTART"] = vDDDTypes(recurrence.dt)
        made.pop("DTEND", None)
    return made
