"""Calendars that are published at an address, as iCalendar feeds."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx

from core.calendars.base import AccessRefused, Changes, Source, Throttled, Window
from core.calendars.events import Event, address
from core.calendars.feed_text import series_texts
from core.errors import BadInput, MeetbotError, TooLarge, Unavailable
from core.invites.occurrences import SINGLE, Occurrence, expand
from core.invites.reading import Component, Series, read_calendar
from core.invites.refusals import InviteRefused
from core.invites.screening import unfolded
from core.network.addresses import AddressRefused, HostUnknown, Resolve, ResolverFailed, resolve
from core.network.pinned import REDIRECTED, PinnedClient

log = logging.getLogger(__name__)

MOST_BYTES: Final = 8 << 20
USER_AGENT: Final = "meetbot-calendar/1"
PAUSE_SECONDS: Final = 600
# In a cursor: the last answer had no event at all.
EMPTY: Final = "empty"
ROOMS: Final = frozenset({"ROOM", "RESOURCE"})
GONE: Final = frozenset(
    {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND, httpx.codes.GONE}
)


class IcsFeed:
    """Fetches feeds under the same egress rules as webhooks (CV-16).

    Args:
        zone: what times without a zone are in.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float,
        trusted_origins: Sequence[str],
        zone: str,
        resolver: Resolve = resolve,
    ) -> None:
        self._timeout = timeout_seconds
        self._trusted = tuple(trusted_origins)
        self._zone = zone
        self._resolver = resolver

    async def changes(self, source: Source, cursor: str | None, window: Window) -> Changes:
        """As `CalendarProvider.changes`; the cursor is what the server said of the last text."""
        known: dict[str, str] = json.loads(cursor) if cursor is not None else {}
        try:
            async with asyncio.timeout(self._timeout):
                text, marks = await self._fetch(source.secret.get_secret_value(), known)
        except (AddressRefused, HostUnknown, TooLarge) as error:
            raise AccessRefused(f"The feed cannot be read. {error.message}") from error
        except ResolverFailed as error:
            raise Unavailable(error.message) from error
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Unavailable(f"The feed did not answer: {type(error).__name__}.") from error
        if text is None:
            return Changes([], [], cursor, whole=False)
        # Long feeds take their time, and the parser holds a lock.
        try:
            events = await asyncio.to_thread(self._events, text, source.account, window)
        except BadInput as error:
            raise Unavailable(error.message) from error
        if not events and EMPTY not in known and not _has_events(text):
            # It may be a fault of its server. It counts when it is so again, marks or no marks.
            return Changes([], [], json.dumps({EMPTY: "once"}), whole=False)
        return Changes(events, [], json.dumps(marks), whole=True)

    async def _fetch(self, url: str, known: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
        """The text and its marks; no text where it is the same as the last one."""
        # Compressed, a small answer could become a huge one.
        headers = {
            "user-agent": USER_AGENT,
            "accept": "text/calendar",
            "accept-encoding": "identity",
        }
        for mark, header in (("etag", "if-none-match"), ("modified", "if-modified-since")):
            if mark in known:
                headers[header] = known[mark]
        client = PinnedClient(
            timeout_seconds=self._timeout, trusted_origins=self._trusted, resolver=self._resolver
        )
        async with client, client.sending("GET", url, headers) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED and known:
                return None, {}
            if response.status_code != httpx.codes.OK:
                raise _failure(response)
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise TooLarge(f"It has more than {MOST_BYTES >> 20} MiB.")
            names = {"etag": "etag", "modified": "last-modified"}
            marks = {
                mark: response.headers[name][:500]
                for mark, name in names.items()
                if name in response.headers
            }
            return unfolded(bytes(content)).decode("utf-8", errors="replace"), marks

    def _events(self, text: str, account: str | None, window: Window) -> list[Event]:
        events: list[Event] = []
        for one in series_texts(text, window.after):
            try:
                (series,) = read_calendar(one, zone=self._zone).series
                found = expand(series, window.after, window.before)
            except (InviteRefused, ValueError) as error:
                log.info("an event of a feed was left out: %s", type(error).__name__)
                continue
            events += [
                _event(series, occurrence, account)
                for occurrence in found
                if not occurrence.cancelled
            ]
        return events


def _has_events(text: str) -> bool:
    return re.search(r"^\s*BEGIN:VEVENT\s*$", text, re.IGNORECASE | re.MULTILINE) is not None


def _failure(response: httpx.Response) -> MeetbotError:
    if response.is_redirect:
        return AccessRefused(f"The feed has moved. {REDIRECTED}")
    if response.status_code in GONE:
        return AccessRefused(
            f"The feed is not there any more (status {response.status_code}); connect it again "
            "with its new address."
        )
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        told = response.headers.get("retry-after", "")
        pause = int(told) if told.isdigit() and len(told) < 6 else PAUSE_SECONDS
        return Throttled("The feed's server is asked too often.", max(1, pause))
    return Unavailable(f"The feed's server answered with status {response.status_code}.")


def _event(series: Series, one: Occurrence, account: str | None) -> Event:
    event = one.event
    people = _listed(event, "ATTENDEE")
    organizer = address(str(event.get("ORGANIZER", "")))
    me = address(account)
    return Event(
        id=hashlib.sha256(f"{series.uid}\n{one.key}".encode(errors="replace")).hexdigest(),
        uid=series.uid,
        start=one.start,
        end=one.end,
        key=None if one.key == SINGLE else one.key,
        all_day=one.all_day,
        title=str(event.get("SUMMARY", "")),
        organizer=organizer,
        mine=me is not None and organizer == me,
        people=tuple(str(person) for person in people if _parameter(person, "CUTYPE") not in ROOMS),
        declined=any(
            _parameter(person, "PARTSTAT") == "DECLINED"
            for person in people
            if me is not None and address(str(person)) == me
        ),
        # An occurrence's own link, or that of its series.
        parts=(event,) if series.master is None else (event, series.master),
    )


def _listed(event: Component, name: str) -> list[Any]:
    value = event.get(name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _parameter(person: Any, name: str) -> str:
    return str(getattr(person, "params", {}).get(name, "")).upper()
