"""Meeting links as they arrive: inside redirects of mail programs, encoded, with the text's
punctuation at their end.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

# A link that was forwarded is wrapped again.
MOST_WRAPPINGS: Final = 3
MOST_DECODINGS: Final = 3
# Redirects, by host (its sub-domains too) and path, and the parameters that hold the link.
_REDIRECTS: Final = (
    ("google.com", "/url", ("q", "url")),
    ("safelinks.protection.outlook.com", "", ("url",)),
)
_OPENING: Final = "<([\"'\u201c\u2018"
_CLOSING: Final = ">.,;:!\"'\u201d\u2019"
# These may belong to the link, when it opens them itself.
_BRACKETS: Final = {")": "(", "]": "["}


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
    text = text.strip().lstrip(_OPENING)
    while text:
        last = text[-1]
        opening = _BRACKETS.get(last)
        unbalanced = opening is not None and text.count(last) > text.count(opening)
        if last not in _CLOSING and not unbalanced:
            break
        text = text[:-1]
    return text


def _target(link: str) -> str | None:
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


def _is_below(parts: SplitResult, host: str) -> bool:
    own = (parts.hostname or "").rstrip(".")
    return own == host or own.endswith(f".{host}")
