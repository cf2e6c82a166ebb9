"""Object keys: relative paths without surprises, and the HMAC links of local storage."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final
from urllib.parse import quote

from pydantic import SecretStr

from core.errors import StorageRefused

# Ids, numbers and our own file names; display names never get here (MF-14).
SEGMENT: Final = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
LONGEST: Final = 900


def checked_key(key: str) -> str:
    """`key`, if it is a plain relative path.

    Raises:
        StorageRefused: it is empty, absolute, has `..` or characters that need escaping.
    """
    if not is_plain(key):
        raise StorageRefused(f"{key[:120]!r} is not an object key of ours.")
    return key


def is_plain(path: str) -> bool:
    """Whether `path` is relative and without surprises: a key, or a prefix of one."""
    return len(path) <= LONGEST and all(_plain(segment) for segment in path.split("/"))


def _plain(segment: str) -> bool:
    return bool(SEGMENT.fullmatch(segment)) and not set(segment) <= {"."}


def link_path(key: str, expires: int, secret: SecretStr) -> str:
    """Path and query of a link to `key`, good until `expires` (seconds since 1970)."""
    return f"/files/{quote(key)}?expires={expires}&signature={_sign(key, expires, secret)}"


def link_holds(key: str, expires: int, signature: str, secret: SecretStr, *, now: int) -> bool:
    """Whether a link's parts belong together and its time is not over."""
    return now < expires and hmac.compare_digest(_sign(key, expires, secret), signature)


def _sign(key: str, expires: int, secret: SecretStr) -> str:
    message = f"{expires}\n{key}".encode()
    return hmac.new(secret.get_secret_value().encode(), message, hashlib.sha256).hexdigest()
