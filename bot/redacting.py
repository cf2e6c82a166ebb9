"""A page's address and document without what opens doors: passwords, tokens, what was typed.

A document comes as a browser wrote it, so its tags are well formed; a hostile page still chooses
what is in them, so one pass goes over it and nothing looks back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl, urlsplit

REDACTED: Final = "[redacted]"
# Opened from a disk the document runs nothing and loads nothing.
POLICY: Final = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; img-src data:\">"
)
LONGEST_VALUE: Final = 400
# Shorter ones are parts of ordinary words.
SHORTEST_SECRET: Final = 4

_TAG: Final = re.compile(r'<([a-zA-Z][^\s/><"]*)((?:\s+[^\s=><"]+(?:="[^"]*")?)*)\s*/?>')
_ATTRIBUTE: Final = re.compile(r'\s+([^\s=><"]+)(?:="([^"]*)")?')
# Their text is a program's, or what somebody typed.
_UNREAD: Final = {
    name: re.compile(f"</{name}", re.IGNORECASE)
    for name in ("script", "style", "noscript", "textarea")
}
_TYPED: Final = {("input", "value"), ("meta", "content"), ("option", "value")}
_DROPPED: Final = frozenset({"nonce", "srcdoc", "integrity"})
_ADDRESS: Final = re.compile(r"""https?://[^\s"'<>]+""")
_GIVEN: Final = re.compile(r"""(?<==)[^&#;?\s"'<>]+""")
_NAMES: Final = re.compile(r"pwd|pass|^p$|tok|^tk$|jwt|key|auth|sig|code|secret|zak", re.IGNORECASE)


def redacted_address(address: str) -> str:
    """`address` with the names of its parameters, without their values; nobody's login either."""
    head, mark, rest = _split(address)
    scheme, slashes, place = head.partition("://")
    if slashes:
        authority, slash, path = place.partition("/")
        head = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    if not mark:
        return head
    if "=" not in rest:
        # A token by itself.
        return f"{head}{mark}{REDACTED}" if rest else head + mark
    return f"{head}{mark}{_GIVEN.sub(REDACTED, rest)}"


def secrets_in(addresses: Iterable[str]) -> frozenset[str]:
    """The values in `addresses` that are somebody's secrets by the names of their parameters."""
    return frozenset(
        value
        for address in addresses
        for part in (urlsplit(address).query, urlsplit(address).fragment)
        for name, value in parse_qsl(part)
        if _NAMES.search(name)
    )


def redacted_document(document: str, secrets: Iterable[str], limit: int) -> str:
    """The document with its structure and visible texts, at most `limit` characters of it.

    Without scripts and handlers, the values of fields, the values in addresses, and `secrets`
    wherever they stand.
    """
    text = "".join(_without_programs(document))
    text = _ADDRESS.sub(lambda found: redacted_address(found[0]), text)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, REDACTED)
    head = re.search(r"<head\b[^>]{0,1000}>", text)
    at = head.end() if head else 0
    return f"{text[:at]}{POLICY}{text[at:]}"[:limit]


def _without_programs(document: str) -> Iterator[str]:
    at = 0
    while (tag := _TAG.search(document, at)) is not None:
        name = tag[1].lower()
        yield document[at : tag.start()]
        yield f"<{tag[1]}{''.join(_attributes(name, tag[2]))}>"
        at = tag.end()
        if name in _UNREAD:
            end = _UNREAD[name].search(document, at)
            if end is None:
                return
            at = end.start()
    yield document[at:]


def _attributes(tag: str, text: str) -> Iterator[str]:
    for name, value in _ATTRIBUTE.findall(text):
        lowered = name.lower()
        if lowered.startswith("on") or lowered in _DROPPED:
            continue
        if (tag, lowered) in _TYPED and value:
            yield f' {name}="{REDACTED}"'
        elif value:
            _, mark, _ = _split(value)
            kept = redacted_address(value) if mark and "=" in value else value
            yield f' {name}="{kept[:LONGEST_VALUE]}"'
        else:
            yield f" {name}"


def _split(address: str) -> tuple[str, str, str]:
    """Before, at and after the first `?` or `#`."""
    found = re.search(r"[?#]", address)
    if found is None:
        return address, "", ""
    return address[: found.start()], found[0], address[found.end() :]
