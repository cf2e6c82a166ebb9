"""Microsoft Teams."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode

from core.platforms.spec import Capabilities, PlatformSpec

_MOST_DECODINGS: Final = 3
# The client's newer address, which links are copied from, and the one at which all links work.
_CLOUD: Final = "teams.cloud.microsoft"
_HOME: Final = "teams.microsoft.com"
_THREAD: Final = re.compile(r"/l/meetup-join/(?P<thread>[^/?#]+)(?:/(?P<message>[^/?#]+))?")
_NUMBER: Final = re.compile(r"/meet/(?P<number>\d+)")


def _decoded(text: str) -> str:
    """Mail programs and redirects encode what is encoded already."""
    for _ in range(_MOST_DECODINGS):
        again = unquote(text)
        if again == text:
            break
        text = again
    return text


def _web_url(parts: SplitResult) -> str:
    """The web client's page for a guest, which asks for no application.

    The meeting is a part of the page's hash: either a thread with its context, or a number with
    its passcode.
    """
    host = _HOME if parts.hostname == _CLOUD else parts.hostname or ""
    inner = _meeting_path(parts)
    path, _, query = inner.partition("?")
    given = dict(parse_qsl(query))
    if found := _THREAD.search(path):
        thread, message = _decoded(found["thread"]), _decoded(found["message"] or "0")
        route = f"/l/meetup-join/{quote(thread, safe='')}/{quote(message, safe='')}"
        kept = {"context": _decoded(given["context"])} if "context" in given else {}
    elif found := _NUMBER.search(path):
        route = f"/meet/{found['number']}"
        kept = {"p": given["p"]} if "p" in given else {}
    else:
        return parts.geturl()
    asked = urlencode({**kept, "anon": "true"}, quote_via=quote)
    return f"https://{host}/v2/?meetingjoin=true#{route}?{asked}"


def _meeting_path(parts: SplitResult) -> str:
    """Path and query of the meeting itself, whichever page of Teams the link leads to first."""
    given = dict(parse_qsl(parts.query))
    if parts.path.startswith("/dl/launcher/"):
        return _decoded_path(given.get("url", ""))
    if parts.path.startswith("/light-meetings/"):
        return _from_coordinates(given.get("coords", ""))
    if parts.path.rstrip("/") in ("", "/_", "/v2"):
        return parts.fragment
    return f"{parts.path}?{parts.query}"


def _decoded_path(url: str) -> str:
    """Of `/_#/l/meetup-join/...`; only the marks that part it are decoded, once more if needed."""
    for _ in range(_MOST_DECODINGS):
        if "#/" in url:
            break
        url = unquote(url)
    return url.partition("#")[2]


def _from_coordinates(text: str) -> str:
    """What a link to the light client says about its meeting, in base64."""
    try:
        said = json.loads(base64.b64decode(_decoded(text) + "=" * (-len(text) % 4)))
        thread = said["conversationId"]
        message = said.get("messageId", "0")
        tenant = {"Tid": said["tenantId"], "Oid": said["organizerId"]}
        context = json.dumps(tenant, separators=(",", ":"))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        return ""
    path = f"/l/meetup-join/{quote(str(thread), safe='')}/{quote(str(message), safe='')}"
    return f"{path}?{urlencode({'context': context})}"


_OPENED_THREAD: Final = (
    "/v2/?meetingjoin=true#/l/meetup-join/19%3Ameeting_Yz%40thread.v2/0"
    "?context=%7B%22Tid%22%3A%22t-1%22%2C%22Oid%22%3A%22o-1%22%7D&anon=true"
)
_COORDS: Final = base64.b64encode(
    json.dumps(
        {
            "conversationId": "19:meeting_Yz@thread.v2",
            "messageId": "0",
            "tenantId": "t-1",
            "organizerId": "o-1",
        }
    ).encode()
).decode()

TEAMS: Final = PlatformSpec(
    slug="teams",
    title="Microsoft Teams",
    hosts=(_HOME, "teams.live.com", "teams.microsoft.us", _CLOUD),
    rooms=(
        re.compile(r"//[^/]+/l/meetup-join/(?P<room>[^/?#]+)"),
        re.compile(r"//[^/]+/meet/(?P<room>\d+)/?(?:[?#]|$)"),
        # What invitations and redirects turn the two forms above into.
        re.compile(r"//[^/]+/(?:v2/?|_)?(?:\?[^#]*)?#/(?:l/meetup-join|meet)/(?P<room>[^/?#]+)"),
        # Its own query, with the passcode, is no part of the room's name.
        re.compile(
            r"//[^/]+/dl/launcher/launcher\.html\?(?:.*&)?url=(?:/|%(?:25)*2[fF])_(?:#|%(?:25)*23)"
            r"(?:/|%(?:25)*2[fF])(?:l(?:/|%(?:25)*2[fF])meetup-join|meet)(?:/|%(?:25)*2[fF])"
            r"(?P<room>(?:(?!%(?:25)*3[fF])[^/?#&])+)"
        ),
        re.compile(r"//[^/]+/light-meetings/launch\?(?:.*&)?coords=(?P<room>[^&#]+)"),
    ),
    forms=(
        "https://teams.microsoft.com/l/meetup-join/<thread>/…, "
        "https://teams.microsoft.com/meet/<digits>?p=<passcode> or "
        "https://teams.live.com/meet/<digits>"
    ),
    examples={
        "https://teams.microsoft.com/l/meetup-join/19%3ameeting_Yz%40thread.v2/0?context=%7b%7d": (
            "19%3ameeting_Yz%40thread.v2"
        ),
        "https://teams.microsoft.com/meet/2123456789012?p=Ab3": "2123456789012",
        "https://teams.live.com/meet/9312345678901?p=x": "9312345678901",
        "https://eu.teams.microsoft.com/meet/2123456789012": "2123456789012",
        "https://teams.microsoft.com/v2/?meetingjoin=true#/l/meetup-join/19:m@thread.v2/0": (
            "19:m@thread.v2"
        ),
        (
            "https://teams.microsoft.com/dl/launcher/launcher.html"
            "?url=%2F_%23%2Fl%2Fmeetup-join%2F19%3Am%2F0"
        ): "19%3Am%2F0",
        (
            "https://teams.microsoft.com/dl/launcher/launcher.html"
            "?url=%2F_%23%2Fmeet%2F2123%3Fp%3DAb3"
        ): "2123",
        (
            "https://teams.microsoft.com/dl/launcher/launcher.html"
            "?url=%252F_%2523%252Fmeet%252F2123%253Fp%253DAb3"
        ): "2123",
        "https://teams.microsoft.com/_#/l/meetup-join/19:m@thread.v2/0": "19:m@thread.v2",
        "https://teams.microsoft.com/v2/#/meet/2123456789012?p=Ab3": "2123456789012",
        "https://teams.cloud.microsoft/meet/2123456789012?p=Ab3": "2123456789012",
        "https://dod.teams.microsoft.us/meet/2123456789012": "2123456789012",
        f"https://teams.microsoft.com/light-meetings/launch?agent=web&coords={_COORDS}": _COORDS,
    },
    web_url=_web_url,
    opened={
        (
            "https://teams.microsoft.com/l/meetup-join/19%3ameeting_Yz%40thread.v2/0"
            "?context=%7b%22Tid%22%3a%22t-1%22%2c%22Oid%22%3a%22o-1%22%7d"
        ): f"https://teams.microsoft.com{_OPENED_THREAD}",
        (
            "https://teams.microsoft.com/l/meetup-join/19%25253ameeting_Yz%252540thread.v2/0"
            "?context=%257B%2522Tid%2522%253A%2522t-1%2522%252C%2522Oid%2522%253A%2522o-1%2522%257D"
        ): f"https://teams.microsoft.com{_OPENED_THREAD}",
        (
            "https://teams.microsoft.us/dl/launcher/launcher.html?url=%2F_%23%2Fl%2Fmeetup-join"
            "%2F19%3Ameeting_Yz%40thread.v2%2F0%3Fcontext%3D%257B%2522Tid%2522%253A%2522t-1%2522"
            "%252C%2522Oid%2522%253A%2522o-1%2522%257D%26anon%3Dtrue&type=meetup-join&directDl=true"
        ): f"https://teams.microsoft.us{_OPENED_THREAD}",
        f"https://teams.microsoft.com/light-meetings/launch?coords={_COORDS}": (
            f"https://teams.microsoft.com{_OPENED_THREAD}"
        ),
        "https://teams.microsoft.com/dl/launcher/launcher.html?url=/_%23/meet/2123?p=Ab3": (
            "https://teams.microsoft.com/v2/?meetingjoin=true#/meet/2123?p=Ab3&anon=true"
        ),
        "https://teams.microsoft.com/_#/meet/2123?p=Ab3": (
            "https://teams.microsoft.com/v2/?meetingjoin=true#/meet/2123?p=Ab3&anon=true"
        ),
        (
            "https://teams.microsoft.com/dl/launcher/launcher.html"
            "?url=%252F_%2523%252Fmeet%252F2123%253Fp%253DAb3"
        ): "https://teams.microsoft.com/v2/?meetingjoin=true#/meet/2123?p=Ab3&anon=true",
        "https://teams.cloud.microsoft/meet/2123?p=Ab3": (
            "https://teams.microsoft.com/v2/?meetingjoin=true#/meet/2123?p=Ab3&anon=true"
        ),
        "https://teams.live.com/meet/9312345678901?p=x&launchAgent=mail": (
            "https://teams.live.com/v2/?meetingjoin=true#/meet/9312345678901?p=x&anon=true"
        ),
    },
    near_misses=(
        "https://teams.microsoft.com/",
        "https://teams.microsoft.com/l/channel/19%3a1%40thread.tacv2/General",
        "https://teams.live.com/meet/abc",
        "https://evilteams.live.com/meet/9312345678901",
        "https://teams.microsoft.com/v2/#/conversations/19:m@thread.v2",
        "https://cloud.microsoft/meet/9312345678901",
        "https://teams.live.com.evil.example/meet/9312345678901",
        "https://microsoft.com/meet/9312345678901",
    ),
    capabilities=Capabilities(
        lobby=True,
        captions=True,
        chat=True,
        host_role=True,
        screenshot=True,
        speak=True,
        show_image=True,
        share_video=True,
    ),
    aliases={"msteams": None, "microsoft_teams": None},
)
