"""Feeds as they are found in the world: long, old, strange, not ours to trust (CAL-03, CV-16)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from core.calendars.base import AccessRefused, Changes, Source, Throttled, Window
from core.calendars.feed_text import MOST_SERIES, series_texts
from core.calendars.ics import IcsFeed
from core.errors import BadInput, Unavailable
from tests.support.calendars.diary import ME, Entry
from tests.support.calendars.feed import Feed, running_feed
from tests.support.clock import START
from tests.support.invites import BERLIN, calendar, event
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

WINDOW = Window(START, START + timedelta(days=15))


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    async with running_feed(free_port()) as running:
        yield running


async def read(feed: Feed, cursor: str | None = None, *, trusted: bool = True) -> Changes:
    reader = IcsFeed(
        timeout_seconds=5,
        trusted_origins=(feed.origin,) if trusted else (),
        zone="Europe/Berlin",
    )
    return await reader.changes(Source("", ME, SecretStr(feed.url)), cursor, WINDOW)


async def test_what_did_not_change_is_not_sent_again(feed: Feed) -> None:
    feed.diary.put(Entry("a", START + timedelta(days=1)))
    first = await read(feed)
    again = await read(feed, first.cursor)
    assert (len(first.events), first.whole) == (1, True)
    assert (again.events, again.whole, again.cursor, feed.sent) == ([], False, first.cursor, 1)


async def test_years_of_meetings_and_strange_events_keep_back_no_other(feed: Feed) -> None:
    """The limits are those of one invite, so each series is read by itself."""
    old = [
        event(uid=f"old-{number}", start="DTSTART:20150101T090000Z", end="DTEND:20150101T100000Z")
        for number in range(3_000)
    ]
    over = event("RRULE:FREQ=DAILY;UNTIL=20200101T000000Z", uid="over", start="DTSTART:20150101")
    strange = [
        event(uid="seconds", start="DTSTART:20260512T090000Z").replace(
            "SUMMARY", "RRULE:FREQ=SECONDLY\r\nSUMMARY"
        ),
        event(uid="never").replace("SUMMARY", "RRULE:FREQ=YEARLY;BYMONTHDAY=31;BYMONTH=2\r\nX"),
        event(uid="soon", start="DTSTART:soon"),
    ]
    weekly = event(
        "RRULE:FREQ=WEEKLY;BYDAY=MO",
        uid="weekly",
        start='DTSTART;TZID="Berlin as we know it":20240101T090000',
        end='DTEND;TZID="Berlin as we know it":20240101T100000',
    )
    floating = event(uid="floating", start="DTSTART:20260512T090000", end=None)
    feed.text = calendar(BERLIN, *old, over, *strange, weekly, floating)
    began = time.perf_counter()
    found = await read(feed)
    assert time.perf_counter() - began < 20
    assert [
        (one.uid, f"{one.start:%m-%d %H}") for one in sorted(found.events, key=attrgetter("start"))
    ] == [
        ("weekly", "05-11 07"),
        ("floating", "05-12 07"),
        ("weekly", "05-18 07"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html>please log in</html>", "no calendar"),
        ("", "no calendar"),
        (
            calendar(*(event(uid=str(number)) for number in range(MOST_SERIES + 1))),
            "still to come",
        ),
    ],
    ids=["a-page", "nothing", "too-much"],
)
async def test_a_feed_that_cannot_be_read_says_why_and_may_be_mended(
    feed: Feed, text: str, said: str
) -> None:
    feed.text = text
    with pytest.raises(Unavailable, match=said):
        await read(feed)


async def test_a_feed_that_is_too_large_is_not_read_to_its_end(feed: Feed) -> None:
    feed.text = "BEGIN:VCALENDAR\r\n" + "X" * (9 << 20) + "\r\nEND:VCALENDAR"
    with pytest.raises(AccessRefused, match="8 MiB"):
        await read(feed)


async def test_answers_that_are_no_feed_are_told_apart(feed: Feed) -> None:
    feed.status = 429
    with pytest.raises(Throttled) as busy:
        await read(feed)
    assert busy.value.retry_after_seconds == 1800
    for status, error in ((503, Unavailable), (302, AccessRefused), (410, AccessRefused)):
        feed.status = status
        with pytest.raises(error):
            await read(feed)


async def test_a_feed_may_not_lead_inside(feed: Feed) -> None:
    with pytest.raises(AccessRefused, match="https"):
        await read(feed, trusted=False)


@given(st.lists(st.text(max_size=60), max_size=30))
def test_any_text_is_cut_or_refused(lines: list[str]) -> None:
    text = "\r\n".join(
        ["BEGIN:VCALENDAR", *lines, "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR"]
    )
    with suppress(BadInput):
        for one in series_texts(text, START):
            assert one.startswith("BEGIN:VCALENDAR")
            assert one.count("BEGIN:VEVENT") >= 1
