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
# Up to a space, or the punctuation of any script: in some no space is written before it.
_URL: Final = re.compile(
    r"(?:https?|discord)://[^\s<>\"'`{}|\\^\x00-\x1f«»\u2018-\u201f\u2026\u3000-\u303f"
    r"\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]{1,2048}",
    re.IGNORECASE,
)
# What nobody sees and programs put between the letters, such as marks of direction.
_UNSEEN: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_ASCII: Final = re.compile(r"[\x21-\x7e]+")
# An ampersand that begins no entity. Some would be taken for one without its end: `&region` as `®`.
_BARE: Final = re.compile(r"&(?!(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});)", re.IGNORECASE)
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
    text = _BARE.sub("&amp;", text)
    if "<" in text and re.search(r"<(a|p|br|div|html|body|span|table)\b", text, re.IGNORECASE):
        page = _Page()
        page.feed(text)
        page.close()
        yield from page.links
        text = " ".join(page.shown)
    else:
        text = html.unescape(text)
    for match in _URL.finditer(text):
        yield from _readings(match[0])


def _readings(url: str) -> Iterator[str]:
    """A link without what is not seen in it; or up to there, or up to any other script."""
    seen = _UNSEEN.sub("", url)
    first = _ASCII.match(seen)
    for one in (seen, _UNSEEN.split(url, maxsplit=1)[0], first[0] if first else ""):
        yield one.rstrip(_TAIL)


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
