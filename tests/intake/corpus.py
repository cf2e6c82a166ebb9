"""Invites in the shape that each product gives them, written by us, and what a bot makes of them.

`wanted`: the moments at which bots join from 2026-05-09 14:00 UTC on, within 14 days, or the reason
for which there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any, Final

from tests.support.invites import BERLIN, MEET, calendar, event
from tests.support.mails import mail
from tests.support.outlook import meeting_request

ZOOM: Final = "https://acme.zoom.us/j/12345678901?pwd=abc"
TEAMS: Final = (
    "https://teams.microsoft.com/l/meetup-join/19%3ameeting_MjA%40thread.v2/0"
    "?context=%7b%22Tid%22%3a%2272f988bf-86f1-41af-91ab-2d7cd011db47%22%2c%22Oid%22%3a"
    "%2272f988bf-86f1-41af-91ab-2d7cd011db48%22%7d"
)
WEBEX: Final = "https://acme.webex.com/meet/ada"
WHEREBY: Final = "https://whereby.com/acme"
JITSI: Final = "https://meet.jit.si/AcmeWeekly"
LINKS: Final = {"meet": MEET, "zoom": ZOOM, "teams": TEAMS, "webex": WEBEX, "whereby": WHEREBY}
ONE: Final = ("05-20T09:00",)
# Berlin is two hours ahead in May.
BERLIN_NINE: Final = ("05-20T07:00",)

Wanted = Sequence[str] | str
Build = Callable[[str, str], EmailMessage]


@dataclass(frozen=True)
class Case:
    name: str
    message: EmailMessage
    wanted: Wanted


def google(text: str, method: str = "REQUEST") -> EmailMessage:
    """Alternatives of text, HTML and calendar, and the file again."""
    return mail(text, method=method, Sender="calendar-notification@google.com")


def outlook(text: str, method: str = "REQUEST") -> EmailMessage:
    """The calendar alone beside HTML, in base64."""
    message = EmailMessage()
    message["From"] = "Ada <ada@example.com>"
    message["Thread-Index"] = "Adx"
    message.set_content("<html><body>Join</body></html>", subtype="html")
    message.add_alternative(
        text.encode(), "text", "calendar", cte="base64", params={"method": method}
    )
    return message


def apple(text: str, method: str = "REQUEST") -> EmailMessage:
    """One part, which is the calendar."""
    message = EmailMessage()
    message["From"] = "ada@example.com"
    message["X-Mailer"] = "Apple Mail"
    message.set_content(text, subtype="calendar", params={"method": method})
    return message


def zimbra(text: str, method: str = "REQUEST") -> EmailMessage:
    """Related parts inside mixed ones."""
    inner = EmailMessage()
    inner.set_content("Weekly")
    inner.add_alternative(text, subtype="calendar", params={"method": method})
    inner.make_mixed()
    inner["From"] = "ada@example.com"
    return inner


def thunderbird(text: str, method: str = "REQUEST") -> EmailMessage:
    """A file of no type that says what it is."""
    message = EmailMessage()
    message["From"] = "ada@example.com"
    message.set_content(f"Please come ({method})")
    message.add_attachment(text.encode(), "application", "octet-stream", filename="invite.ics")
    return message


def forwarded(text: str, method: str = "REQUEST") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "ada@example.com"
    message.set_content("FYI")
    message.add_attachment(google(text, method))
    return message


def exchange() -> EmailMessage:
    """No calendar at all: properties in winmail.dat."""
    message = EmailMessage()
    message["From"] = "ada@example.com"
    message.set_content("Weekly")
    nine = datetime(2026, 5, 20, 9, tzinfo=UTC)
    data = meeting_request(nine, nine + timedelta(minutes=30), link=MEET, uid=b"weekly")
    message.add_attachment(data, "application", "ms-tnef", filename="winmail.dat")
    return message


PRODUCTS: Final[dict[str, Build]] = {
    "google": google,
    "outlook": outlook,
    "apple": apple,
    "zimbra": zimbra,
    "thunderbird": thunderbird,
    "forwarded": forwarded,
}
AT_NINE: Final[dict[str, Any]] = {
    "start": "DTSTART;TZID=Europe/Berlin:20260520T090000",
    "end": "DTEND;TZID=Europe/Berlin:20260520T093000",
}
SERIES: Final[dict[str, tuple[tuple[str, ...], Wanted]]] = {
    "daily": (("RRULE:FREQ=DAILY;COUNT=2",), ("05-20T09:00", "05-21T09:00")),
    "weekly": (("RRULE:FREQ=WEEKLY;BYDAY=WE",), ONE),
    "left out": (
        ("RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260521T090000Z"),
        ("05-20T09:00", "05-22T09:00"),
    ),
    "listed": (("RDATE:20260521T100000Z",), ("05-20T09:00", "05-21T10:00")),
    "until a day": (("RRULE:FREQ=DAILY;UNTIL=20260521",), ("05-20T09:00", "05-21T09:00")),
    "last of the month": (("RRULE:FREQ=MONTHLY;BYDAY=-1FR",), ONE),
    "every hour": (("RRULE:FREQ=HOURLY",), "unsupported"),
    "a day that never is": (("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",), "unsupported"),
}
PLACES: Final[dict[str, str]] = {
    "conference of Google": f"X-GOOGLE-CONFERENCE:{MEET}",
    "conference of Teams": f"X-MICROSOFT-SKYPETEAMSMEETINGURL:{TEAMS}",
    "conference": f"CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL=Join:{ZOOM}",
    "url": f"URL:{WEBEX}",
    "location": f"LOCATION:Berlin\\, Room 4; {JITSI}",
    "text": f"DESCRIPTION:Hello\\n\\nJoin: {ZOOM}\\nMeeting ID: 123",
    "html": f'DESCRIPTION:<a href="{MEET}">Join</a>',
    "outlook's html": f'X-ALT-DESC;FMTTYPE=text/html:<html><a href="{TEAMS}">Join</a></html>',
    "safe link": "DESCRIPTION:https://eur01.safelinks.protection.outlook.com/?url="
    "https%3A%2F%2Fmeet.google.com%2Fabc-defg-hij&data=05",
    "redirect": "DESCRIPTION:https://www.google.com/url?q=https://meet.google.com/abc-defg-hij&sa=D",
}
BAD: Final[dict[str, tuple[str, str]]] = {
    "no link": (event(link="LOCATION:Room 4"), "no_meeting_url"),
    "a link that only looks like one": (
        event(link="LOCATION:https://meet.google.com.evil.example/abc-defg-hij"),
        "no_meeting_url",
    ),
    "credentials in a link": (
        event(link="LOCATION:https://meet.google.com@evil.example/abc-defg-hij"),
        "no_meeting_url",
    ),
    "a day": (event(start="DTSTART;VALUE=DATE:20260520", end=None), "all_day"),
    "over": (event(start="DTSTART:20260401T090000Z", end=None), "in_past"),
    "a series that is over": (
        event("RRULE:FREQ=DAILY;COUNT=2", start="DTSTART:20260401T090000Z", end=None),
        "in_past",
    ),
    "in three years": (event(start="DTSTART:20290401T090000Z", end=None), "too_far_ahead"),
    "a zone of nobody": (
        event(start="DTSTART;TZID=Atlantis:20260520T090000", end=None),
        "unreadable",
    ),
    "no start": (event(start="X-NONE:1"), "unreadable"),
    "an end before its start": (event(end="DTEND:20260101T000000Z"), "unreadable"),
    "a task": ("BEGIN:VTODO\r\nUID:t\r\nEND:VTODO", "unreadable"),
}


def cases() -> Iterator[Case]:
    """All of them."""
    for product, build in PRODUCTS.items():
        for platform, link in LINKS.items():
            text = calendar(event(link=f"LOCATION:{link}", **AT_NINE))
            yield Case(f"{product}, {platform}", build(text, "REQUEST"), BERLIN_NINE)
        own = event(
            start="DTSTART;TZID=Berlin as we know it:20260520T090000",
            end="DTEND;TZID=Berlin as we know it:20260520T093000",
        )
        yield Case(
            f"{product}, a zone of its own", build(calendar(BERLIN, own), "REQUEST"), BERLIN_NINE
        )
    for name, (lines, wanted) in SERIES.items():
        yield Case(f"series, {name}", google(calendar(event(*lines))), wanted)
    for name, line in PLACES.items():
        yield Case(f"link in {name}", outlook(calendar(event(link=line))), ONE)
    for name, (text, reason) in BAD.items():
        yield Case(name, apple(calendar(text)), reason)
    for method in ("REPLY", "COUNTER"):
        text = calendar(event(), method=method)
        yield Case(method, google(text, method), "only_an_answer")
    yield Case("Outlook's own form", exchange(), ONE)
    plain = EmailMessage()
    plain["From"] = "ada@example.com"
    plain.set_content(f"Please join {MEET} at nine")
    yield Case("no calendar", plain, "no_invite")
