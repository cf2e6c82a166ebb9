"""Loading a meeting page: the same errors for the same troubles on every platform."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from playwright.async_api import Error, Page

from bot.browser.guard import ANSWERED_BY_GUARD
from core.errors import BadInput, MeetingNotFound, RoomUnreachable
from core.network.addresses import (
    HostUnknown,
    Resolve,
    ResolverFailed,
    resolve,
    resolve_url,
)

_NET_ERROR: Final = re.compile(r"net::(ERR_\w+)")


async def open_page(
    page: Page,
    url: str,
    *,
    trusted_origins: Sequence[str],
    timeout_seconds: float,
    resolver: Resolve = resolve,
) -> None:
    """Navigate to a meeting.

    Raises:
        MeetingNotFound: the host does not exist or may not be contacted, or answered 404 or 410.
        RoomUnreachable: no answer, or a server error; it may pass.
    """
    host = urlsplit(url).hostname or url[:100]
    try:
        await resolve_url(url, trusted_origins, resolver=resolver)
    except ResolverFailed as error:
        raise RoomUnreachable(error.message) from error
    except HostUnknown as error:
        raise MeetingNotFound(error.message) from error
    except BadInput as error:
        raise MeetingNotFound(f"The meeting cannot be joined: {error.message}") from error
    try:
        response = await page.goto(
            url, wait_until="domcontentloaded", timeout=timeout_seconds * 1000
        )
    except Error as error:
        found = _NET_ERROR.search(error.message)
        reason = found[1] if found else "no answer in time"
        raise RoomUnreachable(f"The meeting server {host} did not answer ({reason}).") from error
    status = response.status if response is not None else 0
    if response is not None and ANSWERED_BY_GUARD in response.headers:
        reason = response.headers[ANSWERED_BY_GUARD]
        raise RoomUnreachable(f"The meeting server {host} could not be reached ({reason}).")
    if status in (404, 410):
        raise MeetingNotFound(f"The meeting server {host} knows no such meeting (HTTP {status}).")
    if status >= 400:
        raise RoomUnreachable(f"The meeting server {host} answered with HTTP {status}.")
