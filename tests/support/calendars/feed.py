"""A calendar that is published as an iCalendar feed at a secret address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from tests.support.api_server import running_api
from tests.support.calendars.diary import ME, Diary, Entry, Occurrence
from tests.support.invites import calendar, event

ADDRESS: Final = "/feeds/a-secret-address/basic.ics"


@dataclass
class Feed:
    """`text`: served in the place of the diary's own."""

    diary: Diary = field(default_factory=Diary)
    origin: str = ""
    revoked: bool = False
    text: str | bytes | None = None
    status: int = 200
    # How often all of it was sent.
    sent: int = 0

    @property
    def url(self) -> str:
        return f"{self.origin}{ADDRESS}"


@asynccontextmanager
async def running_feed(port: int) -> AsyncIterator[Feed]:
    feed = Feed()
    async with running_api(_app(feed), port) as origin:
        feed.origin = origin
        yield feed


def _app(feed: Feed) -> FastAPI:
    app = FastAPI()

    @app.get(ADDRESS)
    async def serve(request: Request) -> Response:
        if feed.revoked:
            return Response(status_code=404)
        if feed.status != 200:
            return Response(status_code=feed.status, headers={"retry-after": "1800"})
        tag = f'"v{feed.diary.version}"'
        if feed.text is None and request.headers.get("if-none-match") == tag:
            return Response(status_code=304)
        feed.sent += 1
        text = feed.text if feed.text is not None else written(feed.diary)
        return Response(text, media_type="text/calendar", headers={"etag": tag})

    return app


def written(diary: Diary) -> str:
    """The diary as calendar programs write it."""
    parts = []
    for entry in diary.entries.values():
        mine = [one for one in diary.occurrences() if one.entry is entry]
        if not entry.weeks:
            parts += [_event(one) for one in mine if not one.cancelled]
            continue
        dates = [f"EXDATE:{_stamp(one.original)}" for one in mine if one.cancelled and one.original]
        rule = f"RRULE:FREQ=WEEKLY;COUNT={entry.weeks}"
        parts.append(_written(entry, entry.start, entry.minutes, rule, *dates))
        parts += [
            _event(one, f"RECURRENCE-ID:{_stamp(one.original)}")
            for one in mine
            if one.original not in (None, one.start) and not one.cancelled
        ]
    return calendar(*parts, method=None)


def _event(one: Occurrence, *lines: str) -> str:
    return _written(one.entry, one.start, one.entry.minutes, *lines)


def _written(entry: Entry, start: datetime, minutes: int, *lines: str) -> str:
    people = [
        f"ATTENDEE;PARTSTAT={'DECLINED' if entry.declined and person == ME else 'ACCEPTED'}"
        f":mailto:{person}"
        for person in entry.people
    ]
    room = "ATTENDEE;CUTYPE=ROOM:mailto:room4@example.com"
    when = f"DTSTART;VALUE=DATE:{start:%Y%m%d}" if entry.all_day else f"DTSTART:{_stamp(start)}"
    text = event(
        *lines,
        *people,
        room,
        *([f"DESCRIPTION:{entry.description}"] if entry.description else []),
        uid=f"{entry.id}@example.com",
        start=when,
        end=None if entry.all_day else f"DURATION:PT{minutes}M",
        organizer=entry.organizer,
        link=f"LOCATION:{entry.link}" if entry.link else "LOCATION:Room 4",
    )
    return text.replace("SUMMARY:Weekly", f"SUMMARY:{entry.title}")


def _stamp(moment: datetime | None) -> str:
    assert moment is not None
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
