"""Meeting requests that Outlook wrote in its own form instead of iCalendar (MS-OXOCAL, MS-OXTNEF).

Exchange sends them to people whom it takes for its own: all there is of the meeting are properties
in `winmail.dat`. They become the calendar that MS-OXCICAL makes of them, and go on like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from icalendar import Calendar, Event, vCalAddress, vText

from core.invites.refusals import unreadable, unsupported
from core.texts import plain_text

# Sets of named properties.
APPOINTMENT: Final = "00062002-0000-0000-c000-000000000046"
MEETING: Final = "6ed8da90-450b-101b-98da-00aa003f1305"

LOCATION: Final = (APPOINTMENT, 0x8208)
SEQUENCE: Final = (APPOINTMENT, 0x8201)
START: Final = (APPOINTMENT, 0x820D)
END: Final = (APPOINTMENT, 0x820E)
ALL_DAY: Final = (APPOINTMENT, 0x8215)
REPEATS: Final = (APPOINTMENT, 0x8223)
GLOBAL_ID: Final = (MEETING, 0x0003)
CLEAN_GLOBAL_ID: Final = (MEETING, 0x0023)
CRITICAL_CHANGE: Final = (MEETING, 0x0001)

MESSAGE_CLASS: Final = 0x001A
SUBJECT: Final = 0x0037
SENDER_ADDRESS: Final = 0x5D02
SENT_AT: Final = 0x0039

CLASS_ATTRIBUTE: Final = 0x8008
METHODS: Final = {
    "ipm.schedule.meeting.request": "REQUEST",
    "ipm.microsoft schedule.mtgreq": "REQUEST",
    "ipm.schedule.meeting.canceled": "CANCEL",
    "ipm.microsoft schedule.mtgcncl": "CANCEL",
}
# What an id that was made outside of Outlook begins with (MS-OXCICAL), and how long its header is.
_FOREIGN: Final = b"vCal-Uid\x01\0\0\0"
_ID_HEADER: Final = 40
MOST_DESCRIPTION: Final = 100_000

Key = tuple[str, int] | int


def meeting_of(parsed: Any, sender: str | None) -> str | None:
    """The calendar of what a `tnefparse.TNEF` says; None where it is no meeting's.

    Args:
        sender: who sent the mail, for requests that do not say who organizes the meeting.

    Raises:
        InviteRefused: it is a meeting, and cannot be told when, or is a series.
    """
    found = _properties(parsed.mapiprops)
    method = METHODS.get(_class(parsed, found))
    if method is None:
        return None
    if found.get(REPEATS):
        raise unsupported(
            "it is a series in Outlook's own form; have Outlook send meeting requests as iCalendar"
        )
    start, end = _moment(found.get(START)), _moment(found.get(END))
    uid = _uid(found.get(GLOBAL_ID) or found.get(CLEAN_GLOBAL_ID))
    if start is None or uid is None:
        raise unreadable("Outlook's meeting request says no time, or has no id")
    event = Event()
    event.add("uid", uid)
    stamps = (_moment(found.get(one)) for one in (CRITICAL_CHANGE, SENT_AT))
    event.add("dtstamp", next((one for one in stamps if one is not None), start))
    event.add("sequence", max(0, int(found.get(SEQUENCE) or 0)))
    if found.get(ALL_DAY):
        event.add("dtstart", start.date())
    else:
        event.add("dtstart", start)
        event.add("dtend", end if end is not None and end > start else start + timedelta(hours=1))
    event.add("summary", plain_text(str(found.get(SUBJECT) or ""), 500))
    event.add("location", plain_text(str(found.get(LOCATION) or ""), 2_000))
    event["description"] = vText(_body(parsed))
    organizer = str(found.get(SENDER_ADDRESS) or sender or "")
    if "@" in organizer:
        event["organizer"] = vCalAddress(f"mailto:{plain_text(organizer, 320)}")
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", "-//meetbot//winmail.dat//EN")
    calendar.add("method", method)
    calendar.add_component(event)
    text: bytes = calendar.to_ical()
    return text.decode()


def _properties(attributes: Iterable[Any]) -> dict[Key, Any]:
    found: dict[Key, Any] = {}
    for one in attributes:
        key: Key = (str(one.guid), one.guid_prop) if one.guid_prop is not None else one.name
        # The package drops zeros from the end of bytes; ids have some that count.
        raw = one.raw_data
        binary = isinstance(raw, list) and raw and isinstance(raw[0], bytes)
        found.setdefault(key, raw[0] if binary else one.data)
    return found


def _class(parsed: Any, found: dict[Key, Any]) -> str:
    attribute = next((one.data for one in parsed.objects if one.name == CLASS_ATTRIBUTE), b"")
    if isinstance(attribute, bytes):
        attribute = attribute.decode("ascii", "replace")
    return str(attribute or found.get(MESSAGE_CLASS) or "").rstrip("\0").strip().lower()


def _moment(value: Any) -> datetime | None:
    """Times of properties are in UTC."""
    if not isinstance(value, datetime) or not datetime(1970, 1, 1) < value < datetime(9000, 1, 1):  # noqa: DTZ001
        return None
    return value.replace(tzinfo=UTC, microsecond=0)


def _uid(identifier: Any) -> str | None:
    """As other programs know the meeting: its own id where it came from one, else the bytes."""
    if not isinstance(identifier, bytes) or len(identifier) < _ID_HEADER:
        return None
    size = int.from_bytes(identifier[_ID_HEADER - 4 : _ID_HEADER], "little")
    data = identifier[_ID_HEADER : _ID_HEADER + size]
    if data.startswith(_FOREIGN):
        return plain_text(data[len(_FOREIGN) :].rstrip(b"\0").decode("utf-8", "replace"), 500)
    return (identifier[:_ID_HEADER] + data).hex().upper()


def _body(parsed: Any) -> str:
    for body in (parsed.body, parsed.htmlbody):
        if isinstance(body, bytes):
            return body.decode("utf-8", "replace")[:MOST_DESCRIPTION]
        if isinstance(body, str) and body:
            return body[:MOST_DESCRIPTION]
    return ""
