"""Where in an event the link to its meeting is (CAL-04)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final
from urllib.parse import parse_qs, urlsplit

from core.errors import BadInput
from core.invites.reading import Component
from core.platforms.registry import MAX_URL_LENGTH, Detected, DetectionContext, detect

# In this order: what is made for it, then what people write.
CONFERENCE: Final = (
    "X-GOOGLE-CONFERENCE",
    "X-MICROSOFT-SKYPETEAMSMEETINGURL",
    "X-MICROSOFT-ONLINEMEETINGEXTERNALLINK",
    "X-MICROSOFT-ONLINEMEETINGCONFLINK",
    "X-MICROSOFT-LOCATIONURL",
    "X-CONFERENCE",
    "X-ZOOM-URL",
    "CONFERENCE",
)
WRITTEN: Final = ("URL", "LOCATION", "DESCRIPTION", "X-ALT-DESC")
MOST_TEXT: Final = 100_000
MOST_LINKS: Final = 100
# How often a link may be wrapped into another one.
DEEPEST_WRAP: Final = 3
# Where services that look at links on the way put the original one.
WRAPPED_IN: Final = ("url", "u", "q", "a", "target", "domain")
WRAPPERS: Final = (
    "safelinks.protection.outlook.com",
    "urldefense.proofpoint.com",
    "google.com",
    "protect.mimecast.com",
    "linkprotect.cudasvc.com",
)
_URL: Final = re.compile(r"(?:https?|discord)://[^\s<>\"'`{}|\\^\x00-\x1f]{1,2048}", re.IGNORECASE)
_V3: Final = re.compile(r"https://urldefense\.com/v3/__(.{1,2048}?)__;", re.IGNORECASE)
_TAIL: Final = ".,;:!?)]*_~>"


def find_link(
    event: Component, context: DetectionContext, *, given: str | None = None
) -> Detected | None:
    """The first link that a platform calls its own; None without one.

    Args:
        given: a link that was named apart from the event, which comes first.
    """
    seen: set[str] = set()
    for text in _texts(event, given):
        for link in _links(text):
            for url in (link, *_unwrapped(link)):
                if url in seen or len(seen) > MOST_LINKS:
                    continue
                seen.add(url)
                if (detected := _detected(url, context)) is not None:
                    return detected
    return None


def _detected(url: str, context: DetectionContext) -> Detected | None:
    if len(url) > MAX_URL_LENGTH:
        return None
    try:
        found = detect(url, context=context)
    except BadInput:
        return None
    # Discord needs a token of the team's own bot, which no invite has.
    return None if found.platform == "discord" else found


def _texts(event: Component, given: str | None) -> Iterator[str]:
    if given is not None:
        yield given
    for name in (*CONFERENCE, *WRITTEN):
        value = event.get(name)
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield str(one)[:MOST_TEXT]


def _links(text: str) -> Iterator[str]:
    """Links in plain text and in HTML, whose attributes come before what is shown."""
    if "<" in text and re.search(r"<(a|p|br|div|html|body|span|table)\b", text, re.IGNORECASE):
        page = _Page()
        page.feed(text)
        page.close()
        yield from page.links
        text = " ".join(page.shown)
    for match in _URL.finditer(html.unescape(text)):
        yield match[0].rstrip(_TAIL)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.shown: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and len(self.links) < MOST_LINKS:
            self.links += [value.strip() for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


def _unwrapped(url: str, depth: int = 0) -> Iterator[str]:
    """What a link leads to through services that check links."""
    if depth >= DEEPEST_WRAP:
        return
    if match := _V3.match(url):
        yield match[1]
        return
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        fields = parse_qs(parts.query, max_num_fields=50)
    except ValueError:
        return
    if not any(host == known or host.endswith(f".{known}") for known in WRAPPERS):
        return
    for name in WRAPPED_IN:
        for value in fields.get(name, ()):
            if name == "u" and host.endswith("proofpoint.com"):
                # Version 2 writes percent as a dash, and a slash as an underline.
                value = re.sub(r"-([0-9A-F]{2})", _character, value).replace("_", "/")  # noqa: PLW2901
            if _URL.match(value):
                yield value
                yield from _unwrapped(value, depth + 1)


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))
