"""Reading calendars: what they say, and what is refused before it costs anything (CAL-03)."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from core.errors import BadInput
from core.invites.occurrences import expand
from core.invites.reading import described, read_calendar, zone_named
from core.invites.refusals import InviteRefused, Reason
from tests.support.invites import BERLIN, calendar, event

pytestmark = pytest.mark.unit

SPRING = datetime(2026, 3, 1, tzinfo=UTC)
SUMMER = datetime(2026, 7, 1, tzinfo=UTC)


def starts(text: str, zone: str = "UTC") -> list[str]:
    (series,) = read_calendar(text, zone=zone).series
    return [f"{one.start:%m-%dT%H:%M}" for one in expand(series, SPRING, SUMMER)]


def test_events_are_told_apart_by_uid() -> None:
    later = event(uid="a", start="DTSTART:20260521T090000Z", end=None)
    text = calendar(event(uid="a"), event(uid="b"), later)
    assert {one.uid: len(one.events) for one in read_calendar(text).series} == {"a": 2, "b": 1}


@pytest.mark.parametrize(("method", "read"), [("cancel", "CANCEL"), (None, "REQUEST")])
def test_a_calendar_without_a_method_is_a_request(method: str | None, read: str) -> None:
    assert read_calendar(calendar(event(), method=method)).method == read


def test_a_zone_of_the_calendars_own_is_used() -> None:
    own = event(
        "RRULE:FREQ=WEEKLY;COUNT=3",
        start="DTSTART;TZID=Berlin as we know it:20260322T090000",
        end="DTEND;TZID=Berlin as we know it:20260322T093000",
    )
    # The last Sunday of March is between the first and the second.
    assert starts(calendar(BERLIN, own)) == ["03-22T08:00", "03-29T07:00", "04-05T07:00"]


def test_a_zone_of_one_calendar_is_not_taken_for_that_of_the_next() -> None:
    """The parser remembers zones by name; somebody else's must not shift ours."""
    there = BERLIN.replace("TZOFFSETTO:+0100", "TZOFFSETTO:+0900").replace(
        "TZOFFSETTO:+0200", "TZOFFSETTO:+0900"
    )
    own = event(
        start="DTSTART;TZID=Berlin as we know it:20260401T090000",
        end="DTEND;TZID=Berlin as we know it:20260401T093000",
    )
    assert starts(calendar(there, own)) == ["04-01T00:00"]
    assert starts(calendar(BERLIN, own)) == ["04-01T07:00"]
    with pytest.raises(InviteRefused, match=r"nobody knows \(Berlin as we know it\)"):
        read_calendar(calendar(own))


@pytest.mark.parametrize(
    ("zone", "hour"),
    [("Europe/Berlin", "07"), ("W. Europe Standard Time", "07"), ("/vendor/Europe/Berlin", "07")],
)
@pytest.mark.filterwarnings("ignore:Timezone")
def test_zones_are_known_by_the_names_that_programs_give_them(zone: str, hour: str) -> None:
    own = event(start=f'DTSTART;TZID="{zone}":20260401T090000', end=None)
    assert starts(calendar(own)) == [f"04-01T{hour}:00"]


def test_floating_times_are_in_the_calendars_zone_or_in_ours() -> None:
    own = event(
        "EXDATE:20260402T090000",
        "RRULE:FREQ=DAILY;COUNT=2",
        start="DTSTART:20260401T090000",
        end="DTEND:20260401T093000",
    )
    assert starts(calendar(own), zone="Europe/Berlin") == ["04-01T07:00"]
    tokyo = calendar(own, lines=["X-WR-TIMEZONE:Asia/Tokyo"])
    assert starts(tokyo, zone="Europe/Berlin") == ["04-01T00:00"]


def test_lines_that_are_folded_broken_or_unknown_do_no_harm() -> None:
    text = calendar(event("X-LONG:a\r\n b", "no line at all", "ATTACH;VALUE=BINARY:AAAA"))
    assert starts("\ufeffgarbage before\r\n" + text + "and behind") == ["05-20T09:00"]


BOMBS = {
    "every second": "RRULE:FREQ=SECONDLY",
    "every minute": "RRULE:FREQ=MINUTELY;INTERVAL=1",
    "all hours": "RRULE:FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=1,2",
    "a million times": "RRULE:FREQ=DAILY;COUNT=1000000",
    "no number": "RRULE:FREQ=DAILY;COUNT=many",
    "a thousand dates": "RDATE:" + ",".join(["20260401T090000Z"] * 1_001),
    "a long list": "RRULE:FREQ=YEARLY;BYYEARDAY=" + ",".join(map(str, range(1, 300))),
    "many rules": "\r\n".join(["RRULE:FREQ=DAILY"] * 21),
}


@pytest.mark.parametrize("line", BOMBS.values(), ids=BOMBS)
def test_what_would_take_long_is_refused_unread(line: str) -> None:
    with pytest.raises(InviteRefused):
        read_calendar(calendar(event(line)))


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO;COUNT=5",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6;UNTIL=20270101T000000Z",
    ],
)
def test_a_rule_that_never_matches_is_refused_at_once(rule: str) -> None:
    """Libraries look for its next occurrence for ten seconds and more."""
    began = time.process_time()
    with pytest.raises(InviteRefused, match="do not exist"):
        starts(calendar(event(f"RRULE:{rule}", start="DTSTART:20000101T090000Z", end=None)))
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "BEGIN:VCALENDAR\r\nEND:VCALENDAR",
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1",
        calendar(event(start="DTSTART:tomorrow")),
        calendar(event(start="X-NO:1")),
        calendar(event(uid="")),
        calendar(event(end="DTEND:19990101T000000Z")),
        calendar(event(end="DTEND:29990101T000000Z")),
        calendar(event(start="DTSTART:00010101T000000Z")),
        calendar(*[event()] * 201),
        "BEGIN:VCALENDAR\r\n" * 50 + "END:VCALENDAR\r\n" * 50,
        calendar(event("X-A:1\r\n" * 25_000)),
        calendar(event(f"DESCRIPTION:{'x' * 600_000}")),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(InviteRefused) as refused:
        read_calendar(text)
    assert refused.value.reason in {Reason.UNREADABLE, Reason.UNSUPPORTED}


def test_an_event_sent_as_fields_reads_as_one_sent_as_text() -> None:
    fields = {
        "uid": "f",
        "start": datetime(2026, 3, 22, 8, tzinfo=UTC),
        "end": datetime(2026, 3, 22, 9, tzinfo=UTC),
        "rrule": "RRULE:FREQ=WEEKLY;COUNT=2",
        "zone": zone_named("Europe/Berlin"),
    }
    assert starts(described(fields, "REQUEST")) == ["03-22T08:00", "03-29T07:00"]
    with pytest.raises(BadInput, match="RFC 5545"):
        described({**fields, "rrule": "every Monday"}, "REQUEST")
    with pytest.raises(BadInput, match="Europe/Berlin"):
        zone_named("../../etc/passwd")


@pytest.mark.parametrize(
    "field",
    [
        {"start": datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "zone": zone_named("Asia/Tokyo")},
        {"start": datetime(1, 1, 1, tzinfo=UTC), "zone": zone_named("America/New_York")},
        {"organizer": "ada@example.com\r\nEND:VEVENT"},
    ],
)
def test_a_field_that_no_calendar_can_hold_is_refused(field: dict[str, object]) -> None:
    fields = {"uid": "f", "start": datetime(2026, 3, 22, 8, tzinfo=UTC)} | field
    with pytest.raises(InviteRefused):
        described(fields, "REQUEST")
