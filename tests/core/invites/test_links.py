"""The link to a meeting, wherever programs put it (CAL-04)."""

from __future__ import annotations

import base64

import pytest

from core.invites.links import find_link
from core.invites.reading import read_calendar
from core.platforms.registry import DetectionContext
from core.platforms.wrapping import unwrap
from tests.support.invites import MEET, calendar, event

pytestmark = pytest.mark.unit

LIVE = DetectionContext()
ZOOM = "https://acme.zoom.us/j/12345678901?pwd=abc"


def found(*lines: str) -> str | None:
    (series,) = read_calendar(calendar(event(*lines, link=None))).series
    link = find_link(series.events[0], LIVE)
    return link.detected.url.partition("?hl=")[0] if link else None


@pytest.mark.parametrize(
    "line",
    [
        f"X-GOOGLE-CONFERENCE:{MEET}",
        f"CONFERENCE;VALUE=URI;FEATURE=VIDEO:{MEET}",
        f"URL;VALUE=URI:{MEET}",
        f"LOCATION:Room 4 ({MEET})",
        f"DESCRIPTION:Join here: {MEET}.\\nBring cake.",
        f'DESCRIPTION:<p>Join <a href="{MEET}">here</a></p>',
        f"DESCRIPTION:<br>Join &lt;{MEET}&gt;",
        f'X-ALT-DESC;FMTTYPE=text/html:<html><a href="{MEET}">x</a></html>',
        "DESCRIPTION:https://www.google.com/url?q=https%3A%2F%2Fmeet.google.com%2Fabc-defg-hij&sa=D",
        "DESCRIPTION:https://eur01.safelinks.protection.outlook.com/?url="
        "https%3A%2F%2Fmeet.google.com%2Fabc-defg-hij&data=05",
        "DESCRIPTION:https://urldefense.com/v3/__https://meet.google.com/abc-defg-hij__;!!x$",
        "DESCRIPTION:https://urldefense.proofpoint.com/v2/url?u="
        "https-3A__meet.google.com_abc-2Ddefg-2Dhij&d=x",
        # One scanner's link in that of another.
        "DESCRIPTION:https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Furldefense.com"
        "%2Fv3%2F__https%3A%2F%2Fmeet.google.com%2Fabc-defg-hij__%3B%21%21x%24&data=05",
        "DESCRIPTION:https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Feur02."
        "safelinks.protection.outlook.com%2F%3Furl%3Dhttps%253A%252F%252Fmeet.google.com%252F"
        "abc-defg-hij%26data%3D05&data=05",
        # What nobody sees, and scripts that write no space.
        f"DESCRIPTION:{MEET}\u200b",
        f"DESCRIPTION:\u2067{MEET}\u2069",
        "DESCRIPTION:https://meet.google.com/\u200babc-\u00addefg-hij",
        f"DESCRIPTION:{MEET}\u200bAgenda",
        f"DESCRIPTION:会议链接：{MEET}。谢谢",
        f"DESCRIPTION:（{MEET}）谢谢",
        f"DESCRIPTION:{MEET}谢谢",
        f"DESCRIPTION:«{MEET}»",
        f'DESCRIPTION:<p><a href="{MEET}">https://whereby.com/acme</a></p>',
    ],
)
def test_a_link_is_found_in_every_place(line: str) -> None:
    assert found(line) == MEET


def test_the_order_is_conference_url_location_description() -> None:
    lines = [
        "DESCRIPTION:https://whereby.com/acme",
        f"LOCATION:{ZOOM}",
        f"X-GOOGLE-CONFERENCE:{MEET}",
    ]
    assert found(*lines) == MEET
    assert (found(*lines[:2]) or "").startswith("https://app.zoom.us/wc/12345678901/")
    own = found(*lines, "X-MEETBOT-LINK:https://whereby.com/me") or ""
    assert own.startswith("https://whereby.com/me")


@pytest.mark.parametrize(
    "link",
    [
        "https://meet.google.com@evil.example/abc-defg-hij",
        "https://meet.google.com.evil.example/abc-defg-hij",
        "https://evilzoom.us/j/12345678901",
        "http://meet.google.com/abc-defg-hij",
        "https://evil.example/url?q=https://meet.google.com/abc-defg-hij",
        "javascript:alert(1)//https",
        "discord://123456789012345678/123456789012345678",
        "https://127.0.0.1/j/12345678901",
        "https://meet.google.com\\@evil.example/abc-defg-hij",
    ],
)
def test_a_link_that_only_looks_like_one_is_none(link: str) -> None:
    url = found(f"LOCATION:{link}")
    assert url is None or (url == MEET and "evil.example/url?q=" in link)


def test_a_link_with_stars_is_read_with_what_they_stand_for() -> None:
    """Proofpoint writes them for whatever is not plain: Teams' links are full of it."""
    room = "/l/meetup-join/19%3ameeting_NzE0%40thread.v2/0?context=%7b%22Tid%22%3a%22a%22%7d"
    stars = room.replace("%", "*")
    enc = base64.urlsafe_b64encode(b"%" * stars.count("*")).decode().rstrip("=")
    link = f"https://urldefense.com/v3/__https://teams.microsoft.com{stars}__;{enc}!!x!y$"
    assert found(f"LOCATION:{link}") == found(f"LOCATION:https://teams.microsoft.com{room}")
    assert found(f"LOCATION:{link}") is not None
    assert unwrap("https://urldefense.com/v3/__https://a.example/x**By__;5Lya5pys6Im-!!$") == (
        "https://a.example/x会本艾y"
    )


@pytest.mark.parametrize("form", ["{}", '<p><a href="{}">Join</a></p>', "<br>{}"])
def test_an_ampersand_is_one_whatever_follows_it(form: str) -> None:
    """`&region` is no `®ion`."""
    link = f"{ZOOM}&region=eu&copy=1&notify=2"
    (series,) = read_calendar(calendar(event("DESCRIPTION:" + form.format(link), link=None))).series
    read = find_link(series.events[0], LIVE)
    assert read is not None
    assert read.written == link
    escaped = calendar(event("DESCRIPTION:" + form.format(link.replace("&", "&amp;")), link=None))
    again = find_link(read_calendar(escaped).series[0].events[0], LIVE)
    assert again == read


@pytest.mark.parametrize(
    "link",
    [
        "https://ｍeet.google.com/abc-defg-hij",
        "https://m\u0435et.google.com/abc-defg-hij",
        "https://meet\u3002google\u3002com/abc-defg-hij",
        "https://meet.google.com\u200b.evil.example/abc-defg-hij",
    ],
)
def test_a_host_that_only_looks_like_a_platforms_is_none(link: str) -> None:
    assert found(f"DESCRIPTION:{link}") is None


def test_wrapping_ends_somewhere() -> None:
    link = MEET
    for _ in range(9):
        link = f"https://www.google.com/url?q={link}"
    assert found(f"LOCATION:{link}") in {None, MEET}
    assert found("DESCRIPTION:" + "https://example.com/x " * 5_000) is None
