"""Where in an event the link to its meeting is (CAL-04)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

from core.errors import BadInput
from core.invites.reading import Component
from core.platforms.registry import Detected, DetectionContext, detect

# In this order: what is made for it, then what people write.
CONFERENCE: Final = (
    # What the mail worker was given apart from the event.
    "X-MEETBOT-LINK",
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
_URL: Final = re.compile(r"(?:https?|discord)://[^\s<>\"'`{}|\\^\x00-\x1f]{1,2048}", re.IGNORECASE)
# Proofpoint's service writes links in ways of its own; `detect` knows the others.
_DEFENSE_V3: Final = re.compile(r"https://urldefense\.com/v3/__(.{1,2048}?)__;", re.IGNORECASE)
_DEFENSE_V2: Final = re.compile(
    r"https://urldefense\.proofpoint\.com/v2/url\?u=([^&]{1,2048})", re.IGNORECASE
)
_TAIL: Final = ".,;:!?)]*~>"


@dataclass(frozen=True)
class Link:
    """A link as it was written, and what it leads to."""

    written: str
    detected: Detected


def find_link(event: Component, context: DetectionContext) -> Link | None:
    """The first link that a platform calls its own; None without one."""
    seen: set[str] = set()
    for text in _texts(event):
        for url in _links(text):
            if url in seen or len(seen) >= MOST_LINKS:
                continue
            seen.add(url)
            if (detected := _detected(url, context)) is not None:
                return Link(url, detected)
    return None


def _detected(url: str, context: DetectionContext) -> Detected | None:
    try:
        found = detect(url, context=context)
    except BadInput:
        return None
    # Discord needs a token of the team's own bot, which no invite has.
    return None if found.platform == "discord" else found


def _texts(event: Component) -> Iterator[str]:
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
        yield _undefended(match[0].rstrip(_TAIL))


def _undefended(url: str) -> str:
    if match := _DEFENSE_V3.match(url):
        return match[1]
    if match := _DEFENSE_V2.match(url):
        # Percent is written as a dash, and a slash as an underline.
        slashes = match[1].replace("_", "/")
        return re.sub(r"-([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), slashes)
    return url


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
