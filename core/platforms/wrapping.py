"""Meeting links as they arrive: inside redirects of mail programs, encoded, with the text's
punctuation at their end.
"""

from __future__ import annotations

import base64
import re
import string
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

# A link that was forwarded is wrapped again, by the scanner of each company that it went through.
MOST_WRAPPINGS: Final = 5
MOST_DECODINGS: Final = 3
# Redirects, by host (its sub-domains too) and path, and the parameters that hold the link.
_REDIRECTS: Final = (
    ("google.com", "/url", ("q", "url")),
    ("safelinks.protection.outlook.com", "", ("url",)),
    ("safelinks.protection.office365.us", "", ("url",)),
    ("linkprotect.cudasvc.com", "/url", ("a",)),
)
# Proofpoint's, which are written in ways of their own.
_DEFENSE_V2: Final = re.compile(
    r"https://urldefense\.proofpoint\.com/v2/url\?u=([^&]{1,2048})", re.IGNORECASE
)
_DEFENSE_V3: Final = re.compile(
    r"https://urldefense\.(?:com|us|proofpoint\.com)/v3/__(.{1,2048}?)__;([A-Za-z0-9_-]*)",
    re.IGNORECASE,
)
# In the third version a star stands for a character of the list behind the link, and two stars
# and a letter for several of them.
_STARS: Final = re.compile(r"\*(?:\*([A-Za-z0-9_-]))?")
_RUNS: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
_OPENING: Final = "<([{*\"'\u201c\u2018\u00ab\u2039"
_CLOSING: Final = ">.,;:!*|\"'\u201d\u2019\u00bb\u203a\u2026"
# Not seen, and copied along.
_UNSEEN: Final = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
# These may belong to the link, when it opens them itself.
_BRACKETS: Final = {")": "(", "]": "[", "}": "{"}


def unwrap(text: str) -> str:
    """The link that `text` leads to; `text` without its punctuation when it wraps nothing.

    What comes out is as untrusted as what came in.
    """
    link = decoded(_trimmed(text))
    for _ in range(MOST_WRAPPINGS):
        target = _target(link)
        if target is None:
            break
        link = decoded(_trimmed(target))
    return link


def decoded(text: str) -> str:
    """A whole URL that was percent-encoded up to three times, readable again."""
    for _ in range(MOST_DECODINGS):
        if "://" in text or "%" not in text:
            break
        text = unquote(text)
    return text


def _trimmed(text: str) -> str:
    text = _UNSEEN.sub("", text).strip().lstrip(_OPENING)
    while text:
        last = text[-1]
        opening = _BRACKETS.get(last)
        unbalanced = opening is not None and text.count(last) > text.count(opening)
        if last not in _CLOSING and not unbalanced:
            break
        text = text[:-1]
    return text


def _target(link: str) -> str | None:
    if match := _DEFENSE_V3.match(link):
        return _starred(match[1], match[2])
    if match := _DEFENSE_V2.match(link):
        # Percent is written as a dash, and a slash as an underline.
        slashes = match[1].replace("_", "/")
        return re.sub(r"-([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), slashes)
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    for host, path, names in _REDIRECTS:
        if parts.scheme in ("http", "https") and _is_below(parts, host):
            if path and parts.path != path:
                continue
            given = parse_qs(parts.query)
            return next((given[name][0] for name in names if name in given), None)
    return None


def _starred(link: str, encoded: str) -> str:
    """The link with its stars replaced; as it is where the list is not that of its stars."""
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        left = base64.urlsafe_b64decode(padded).decode()
    except ValueError:
        return link

    def next_ones(stars: re.Match[str]) -> str:
        nonlocal left
        count = 1 if stars[1] is None else _RUNS.index(stars[1]) + 2
        taken, left = left[:count], left[count:]
        return taken or stars[0]

    return _STARS.sub(next_ones, link)


def _is_below(parts: SplitResult, host: str) -> bool:
    own = (parts.hostname or "").rstrip(".")
    return own == host or own.endswith(f".{host}")
