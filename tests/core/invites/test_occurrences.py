"""What series become, beside a library that had no part in it (CAL-08)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr

from core.invites.occurrences import cancelled_occurrence, expand, is_over, repeats
from core.invites.reading import Series, read_calendar
from core.invites.refusals import InviteRefused
from tests.support.invites import calendar, event

pytestmark = pytest.mark.unit

FROM = datetime(2026, 5, 1, tzinfo=UTC)
TO = datetime(2026, 6, 1, tzinfo=UTC)


def series(*events: str) -> Series:
    (found,) = read_calendar(calendar(*events)).series
    return found


RULES = [
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=3;COUNT=700",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU;WKST=SU",
    "FREQ=MONTHLY;BYDAY=-1SU",
    "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
    "FREQ=WEEKLY;UNTIL=20300630T000000Z",
]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("rule", RULES)
def test_ten_years_of_a_rule_are_those_of_another_library(rule: str, zone: str) -> None:
    """By the clock on the wall, whatever the clocks do: at 01:30, where they are changed."""
    there = ZoneInfo(zone)
    start = datetime(2024, 2, 25, 1, 30, tzinfo=there)
    told = rrulestr(rule, dtstart=start)
    # The start itself always takes place.
    wanted = {start.astimezone(UTC)} | {
        one.astimezone(UTC) for one in told.between(start, start.replace(year=2034), inc=True)
    }
    own = series(
        event(
            f"RRULE:{rule}",
            start=f"DTSTART;TZID={zone}:20240225T013000",
            end=f"DTEND;TZID={zone}:20240225T020000",
        )
    )
    found: set[datetime] = set()
    for year in range(2024, 2034):
        begins = max(start, datetime(year, 1, 1, tzinfo=there))
        span = expand(own, begins.astimezone(UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
        found |= {one.start for one in span if one.start >= start}
    before = datetime(2033, 12, 1, tzinfo=UTC)
    assert {one for one in found if one < before} == {one for one in wanted if one < before}


def test_an_occurrence_keeps_its_key_when_it_is_moved_and_leaves_when_it_is_cancelled() -> None:
    own = series(
        event("RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20260521T090000Z"),
        event("RECURRENCE-ID:20260522T090000Z", start="DTSTART:20260525T150000Z", end=None),
        event(
            "RECURRENCE-ID:20260523T090000Z",
            "STATUS:CANCELLED",
            start="DTSTART:20260523T090000Z",
            end=None,
        ),
    )
    found = expand(own, FROM, TO)
    assert [(one.key, f"{one.start:%dT%H}", one.cancelled) for one in found] == [
        ("20260520T090000Z", "20T09", False),
        ("20260523T090000Z", "23T09", True),
        ("20260522T090000Z", "25T15", False),
    ]


def test_all_occurrences_from_one_on_can_be_moved() -> None:
    own = series(
        event("RRULE:FREQ=DAILY;COUNT=3"),
        event(
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20260521T090000Z",
            start="DTSTART:20260521T110000Z",
            end="DTEND:20260521T113000Z",
        ),
    )
    found = expand(own, FROM, TO)
    assert [f"{one.start:%dT%H}" for one in found] == ["20T09", "21T11", "22T11"]
    assert [one.key for one in found] == [f"202605{day}T090000Z" for day in (20, 21, 22)]


def test_meetings_that_are_moved_together_keep_their_keys_when_the_clocks_change() -> None:
    there = "TZID=Europe/Berlin:2026"
    own = series(
        event(
            "RRULE:FREQ=DAILY;COUNT=3",
            start=f"DTSTART;{there}0328T090000",
            end=f"DTEND;{there}0328T093000",
        ),
        event(
            f"RECURRENCE-ID;RANGE=THISANDFUTURE;{there}0328T090000",
            start=f"DTSTART;{there}0328T110000",
            end=f"DTEND;{there}0328T113000",
        ),
    )
    found = expand(own, datetime(2026, 3, 1, tzinfo=UTC), TO)
    assert [(one.key[4:11], f"{one.start:%dT%H}") for one in found] == [
        ("0328T08", "28T10"),
        ("0329T07", "29T09"),
        ("0330T07", "30T09"),
    ]


def test_dates_can_be_listed_and_all_day_events_are_known() -> None:
    listed = series(event("RDATE:20260522T090000Z,20260524T100000Z"))
    assert [f"{one.start:%dT%H}" for one in expand(listed, FROM, TO)] == ["20T09", "22T09", "24T10"]
    day = series(event(start="DTSTART;VALUE=DATE:20260520", end="DTEND;VALUE=DATE:20260521"))
    (one,) = expand(day, FROM, TO)
    assert one.all_day
    assert one.end - one.start == timedelta(days=1)


def test_an_until_that_is_a_date_means_all_of_that_day() -> None:
    own = series(event("RRULE:FREQ=DAILY;UNTIL=20260522", end=None))
    assert [f"{one.start:%d}" for one in expand(own, FROM, TO)] == ["20", "21", "22"]


def test_an_event_that_does_not_repeat_has_no_date_in_its_key() -> None:
    own = series(event())
    assert not repeats(own)
    assert [one.key for one in expand(own, FROM, TO)] == [""]


@pytest.mark.parametrize(
    ("lines", "over"),
    [
        ((), True),
        (("RRULE:FREQ=DAILY",), False),
        (("RRULE:FREQ=DAILY;UNTIL=20260601T000000Z",), True),
        (("RRULE:FREQ=DAILY;UNTIL=20260801T000000Z",), False),
        (("RDATE:20260801T000000Z",), False),
    ],
)
def test_it_is_known_whether_a_series_can_go_on(lines: tuple[str, ...], *, over: bool) -> None:
    assert is_over(series(event(*lines)), datetime(2026, 7, 1, tzinfo=UTC)) is over


def test_a_series_that_began_ages_ago_is_refused() -> None:
    own = series(event("RRULE:FREQ=DAILY", start="DTSTART:19750101T000000Z", end=None))
    with pytest.raises(InviteRefused, match="too long ago"):
        expand(own, FROM, TO)


def test_what_is_kept_of_a_cancelled_occurrence_leaves_it_out() -> None:
    gone = read_calendar(
        calendar(
            event("RECURRENCE-ID:20260521T090000Z", start="DTSTART:20260521T090000Z", end=None)
        )
    ).series[0]
    own = series(event("RRULE:FREQ=DAILY;COUNT=2"))
    both = Series(own.uid, [*own.events, cancelled_occurrence(gone.events[0])], own.zones)
    assert [one.cancelled for one in expand(both, FROM, TO)] == [False, True]
