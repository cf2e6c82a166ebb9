"""Opaque cursors (CV-13)."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from fastapi import Query

from core.errors import BadInput, Issue
from core.ids import Kind, parse_id

Limit = Annotated[int, Query(ge=1, le=200, description="How many to return at most.")]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`nextCursor` of the page before.")
]


def encode_cursor(last_id: str) -> str:
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def decode_cursor(kind: Kind, cursor: str | None) -> str | None:
    """The id that a page starts after; None for the first page.

    Raises:
        BadInput: it is not one of our cursors.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        last_id = parse_id(kind, base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except (binascii.Error, ValueError):
        last_id = None
    if last_id is None:
        message = "Pass the nextCursor of the page before, unchanged, or none for the first page."
        raise BadInput(message, [Issue(("cursor",), "invalid_cursor", message)])
    return last_id
