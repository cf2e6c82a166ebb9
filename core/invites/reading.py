"""From an iCalendar text to what it says of each event, by UID (CAL-03)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import icalendar
from icalendar.timezone import tzp

from core.errors import BadInput, Issue
from core.invites import limits
from core.invites.refusals import unreadable, unsupported
from core.invites.screening import Screen
from core.texts import plain_text

# What icalendar raises for texts that are none; it has no class of its own for them.
PARSER_ERRORS: Final = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    # By recurring-ical-events, where it holds that no text can lead; texts are strangers'.
    NotImplementedError,
)
# A VEVENT or VTIMEZONE. Its values are of any of thirty types, told apart when they are read.
Component = Any
LONGEST_MEETING: Final = timedelta(days=14)
# icalendar remembers time zones by name for the whole process: the next text must not meet them.
_parsing: Final = threading.Lock()


@dataclass(frozen=True)
class Series:
    """All that one text says of one event: itself, and single occurrences that differ.

    `zones` are the definitions of time zones that came with it.
    """

    uid: str
    events: Sequence[Component]
    zones: Sequence[Component]

    @property
    def key(self) -> str:
        """The UID, or its hash where it is too long for an `externalId`."""
        if len(self.uid) <= 160 and self.uid.isprintable():
            return self.uid
        return hashlib.sha256(self.uid.encode()).hexdigest()

    @property
    def master(self) -> Component | None:
        """The event itself, where the text is not of single occurrences only."""
        return next((event for event in self.events if recurrence_of(event) is None), None)

    @property
    def calendar(self) -> icalendar.Calendar:
        """It as a calendar of its own."""
        made = icalendar.Calendar()
        made.add("PRODID", "-//meetbot//intake//EN")
        made.add("VERSION", "2.0")
        for part in (*self.zones, *self.events):
            made.add_component(part)
        return made

    @property
    def text(self) -> str:
        return str(self.calendar.to_ical(), "utf-8")


@dataclass(frozen=True)
class CalendarText:
    """`named_method` in upper case; None where the calendar names none."""

    named_method: str | None
    series: Sequence[Series]

    @property
    def method(self) -> str:
        return self.named_method or "REQUEST"


def read_calendar(text: str, *, zone: str = "UTC") -> CalendarText:
    """What a calendar says, event by event.

    Args:
        zone: what times without a time zone are in.

    Raises:
        InviteRefused: it cannot be read, or asks for too much.
    """
    screened = Screen(zone).read(text)
    with _parsing:
        tzp.use_default()
        try:
            calendar = icalendar.Calendar.from_ical(screened)
        except PARSER_ERRORS as exc:
            raise unreadable(_short(exc)) from exc
        finally:
            tzp.use_default()
    if not isinstance(calendar, icalendar.Calendar):
        raise unreadable("it is no calendar")
    zones = [part for part in calendar.subcomponents if part.name == "VTIMEZONE"]
    method = str(calendar.get("METHOD", "")).strip().upper() or None
    found: dict[str, list[Component]] = {}
    for event in calendar.subcomponents:
        if event.name == "VEVENT":
            if method == "CANCEL":
                _date_cancel(event)
            _check(event)
            found.setdefault(uid_of(event), []).append(event)
    if not found:
        raise unreadable("it has no event")
    return CalendarText(method, [Series(uid, events, zones) for uid, events in found.items()])


def _date_cancel(event: Component) -> None:
    """A cancel need not say when the meeting was to be (RFC 5546, 3.2.5)."""
    known = event.get("RECURRENCE-ID") or event.get("DTSTAMP")
    if "DTSTART" not in event and known is not None:
        event["DTSTART"] = known
        for name in ("DTEND", "DURATION"):
            event.pop(name, None)


def uid_of(event: Component) -> str:
    """Its UID, in one line."""
    uid = str(event.get("UID", "")).strip()
    if not uid:
        raise unreadable("an event has no UID")
    if len(uid) > limits.LONGEST_UID:
        raise unsupported("an event's UID is too long")
    return uid


def recurrence_of(event: Component) -> str | None:
    """Which occurrence of its series an event is: its original start in UTC, as text."""
    value = event.get("RECURRENCE-ID")
    return None if value is None else moment_key(value.dt)


def moment_key(value: date) -> str:
    """The spelling in which occurrences are told apart: `20260509T070000Z`, or a date."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    return f"{value:%Y%m%d}"


def version_of(event: Component) -> tuple[int, datetime]:
    """What says which of two texts on the same event is the newer one (RFC 5546)."""
    stamp = event.get("DTSTAMP") or event.get("LAST-MODIFIED")
    moment = getattr(stamp, "dt", None)
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        moment = datetime.min.replace(tzinfo=UTC)
    return _sequence(event), moment


def _sequence(event: Component) -> int:
    try:
        return max(0, min(int(event.get("SEQUENCE", 0)), 2**31 - 1))
    except (TypeError, ValueError):
        return 0


def _check(event: Component) -> None:
    """That its times are times, so that expanding it neither fails nor takes long."""
    wrong = {str(name).upper() for name, _ in event.errors}
    if wrong & {"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"}:
        raise unreadable(f"{', '.join(sorted(wrong))} of an event has no proper value")
    if "DTSTART" not in event or isinstance(event["DTSTART"], list):
        raise unreadable("an event has no start")
    try:
        start, length = event["DTSTART"].dt, duration_of(event)
        known = [start, *_dates(event, "RECURRENCE-ID"), *_dates(event, "DTEND")]
    except PARSER_ERRORS as exc:
        raise unreadable(_short(exc)) from exc
    for moment in known:
        if not isinstance(moment, date):
            raise unreadable("an event has no proper time")
        if isinstance(moment, datetime) and moment.tzinfo is None:
            raise unreadable(
                f"a time names a time zone that nobody knows ({_zone_of(event)}), and the calendar "
                "does not say what it is; choose a city's in your calendar"
            )
        if not 1971 <= moment.year <= 2200:
            raise unsupported("it is too far from today")
    if length < timedelta(0):
        raise unreadable("an event ends before it begins")
    if length > LONGEST_MEETING:
        raise unsupported(f"an event takes more than {LONGEST_MEETING.days} days")


def _zone_of(event: Component) -> str:
    """The zone that a time without one names."""
    names = (
        getattr(event.get(name), "params", {}).get("TZID")
        for name in ("DTSTART", "DTEND", "RECURRENCE-ID")
        if getattr(getattr(event.get(name), "dt", None), "tzinfo", None) is None
    )
    return plain_text(str(next(filter(None, names), "without a name")), 100)


def duration_of(event: Component) -> timedelta:
    """How long it takes: by its end, its duration, or not at all."""
    start = event["DTSTART"].dt
    if "DTEND" in event:
        end = event["DTEND"].dt
        return _comparable(end) - _comparable(start)
    if "DURATION" in event:
        length: timedelta = event["DURATION"].dt
        return length
    return timedelta(0) if isinstance(start, datetime) else timedelta(days=1)


def _comparable(value: date) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def _dates(event: Component, name: str) -> list[Any]:
    value = event.get(name)
    return [] if value is None else [value.dt]


def _short(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"[:200]


def zone_named(name: str | None) -> ZoneInfo | None:
    """The zone of an IANA name; None for none.

    Raises:
        BadInput: there is no such zone.
    """
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = "timezone is an IANA name such as Europe/Berlin."
        raise BadInput(message, [Issue(("timezone",), "invalid_timezone", message)]) from None


def described(fields: Mapping[str, Any], method: str) -> str:
    """An iCalendar text of an event that was sent as fields (API-75).

    Args:
        fields: `uid`, `start`, and what there is of `sequence`, `recurrence_id`, `end`, `zone`,
            `summary`, `description`, `location`, `rrule`, `organizer`, `link`.

    Raises:
        BadInput: the rule cannot be read.
        InviteRefused: another field cannot be written into a calendar.
    """
    try:
        return _described(fields, method)
    except PARSER_ERRORS as exc:
        # Such as a moment that does not exist in its time zone, or an address with a line break.
        raise unreadable(_short(exc)) from exc


def _described(fields: Mapping[str, Any], method: str) -> str:
    calendar = icalendar.Calendar()
    calendar.add("METHOD", method)
    event = icalendar.Event()
    event.add("UID", fields["uid"])
    event.add("SEQUENCE", fields.get("sequence") or 0)
    zone = fields.get("zone") or UTC
    for name, value in (
        ("DTSTART", fields.get("start")),
        ("DTEND", fields.get("end")),
        ("RECURRENCE-ID", fields.get("recurrence_id")),
    ):
        if value is not None:
            event.add(name, value.astimezone(zone))
    for name in ("summary", "description", "location"):
        if fields.get(name):
            event.add(name.upper(), fields[name])
    if fields.get("link"):
        event.add("X-MEETBOT-LINK", fields["link"])
    if fields.get("rrule"):
        try:
            rule = icalendar.vRecur.from_ical(fields["rrule"].removeprefix("RRULE:"))
            rule.to_ical()
        except PARSER_ERRORS:
            rule = icalendar.vRecur()
        if "FREQ" not in rule:
            message = "rrule is a rule of RFC 5545 such as FREQ=WEEKLY;BYDAY=MO."
            raise BadInput(message, [Issue(("rrule",), "invalid_rrule", message)])
        event.add("RRULE", rule)
    if fields.get("organizer"):
        event.add("ORGANIZER", f"mailto:{fields['organizer']}")
    calendar.add_component(event)
    return str(calendar.to_ical(), "utf-8")
