"""Outlook by Microsoft Graph v1.0: the calendar view by delta links, and subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from pydantic import SecretStr

from core.calendars.base import (
    AccessRefused,
    Changes,
    Channel,
    CursorLost,
    Latest,
    Source,
    Window,
)
from core.calendars.events import Event
from core.calendars.http import Json, JsonClient, objects, text_of
from core.clock import Clock, rfc3339
from core.errors import Unavailable
from core.invites.reading import moment_key
from core.network.addresses import origin_of

SCOPE: Final = "offline_access Calendars.Read User.Read"
CONSENT: Final = {"response_mode": "query", "prompt": "select_account"}
PREFER: Final = 'odata.maxpagesize=200, outlook.timezone="UTC", IdType="ImmutableId"'
PRIMARY: Final = "primary"
MOST_PAGES: Final = 60
# Series that are asked for one by one, because their occurrences came without what they share.
MOST_MASTERS: Final = 200
# Microsoft allows a little less than three days for events.
CHANNEL_LIFE: Final = timedelta(days=2, hours=20)


class MicrosoftCalendar:
    """One person's calendar at a time; `base` is Graph's address."""

    def __init__(self, http: JsonClient, base: str, clock: Clock) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._clock = clock

    async def account(self, token: SecretStr) -> str | None:
        """Whose grant it is.

        Raises:
            AccessRefused, Throttled, Unavailable: as `CalendarProvider.changes`.
        """
        found = await self._http.ask("GET", f"{self._base}/me", token)
        return text_of(found.get("mail")) or text_of(found.get("userPrincipalName"))

    async def changes(self, source: Source, cursor: str | None, window: Window) -> Changes:
        """As `CalendarProvider.changes`; cursors are delta links of one window."""
        if cursor is not None and origin_of(cursor) != origin_of(self._base):
            raise CursorLost("The delta link is of another server.")
        address = cursor or f"{self._base}{_calendar(source)}/calendarView/delta"
        params: Mapping[str, str] | None = None
        if cursor is None:
            span = {"startDateTime": window.after, "endDateTime": window.before}
            params = {name: rfc3339(moment) for name, moment in span.items()}
        items: list[Json] = []
        for _ in range(MOST_PAGES):
            page = await self._http.ask(
                "GET", address, source.secret, params=params, headers={"prefer": PREFER}
            )
            items += objects(page.get("value"))
            following, last = page.get("@odata.nextLink"), page.get("@odata.deltaLink")
            if isinstance(last, str):
                return await self._changes(items, source, last, whole=cursor is None)
            if not isinstance(following, str) or origin_of(following) != origin_of(self._base):
                raise Unavailable("Microsoft answered with a page that leads nowhere.")
            # The link says all that was asked.
            address, params = following, None
        raise Unavailable(f"Microsoft's calendar has more than {MOST_PAGES} pages.")

    async def watch(self, source: Source, channel_id: str, token: str, address: str) -> Channel:
        """As `Watching.watch`; the channel goes by Microsoft's id."""
        until = self._clock.now() + CHANNEL_LIFE
        answer = await self._http.ask(
            "POST",
            f"{self._base}/subscriptions",
            source.secret,
            body={
                "changeType": "created,updated,deleted",
                "notificationUrl": address,
                "resource": f"{_calendar(source)}/events".lstrip("/"),
                "expirationDateTime": rfc3339(until),
                "clientState": token,
            },
        )
        made = answer.get("id")
        if not isinstance(made, str):
            raise Unavailable("Microsoft made no subscription.")
        return Channel(channel_id, made, _utc(answer.get("expirationDateTime")) or until)

    async def unwatch(self, source: Source, channel: Channel) -> None:
        """As `Watching.unwatch`."""
        address = f"{self._base}/subscriptions/{quote(channel.resource_id, safe='')}"
        try:
            await self._http.ask("DELETE", address, source.secret)
        except AccessRefused:
            # It is over: unknown ones are answered 404.
            return

    async def _changes(
        self, items: list[Json], source: Source, cursor: str, *, whole: bool
    ) -> Changes:
        """Occurrences may come without what they share with their series, which comes besides."""
        known = {str(one.get("id")): one for one in items if one.get("type") == "seriesMaster"}
        latest = Latest()
        for item in items:
            if item.get("type") == "seriesMaster" or not isinstance(item.get("id"), str):
                continue
            if "@removed" in item or item.get("isCancelled") is True:
                latest.put(item["id"], None)
                continue
            master = item.get("seriesMasterId")
            if "subject" not in item and isinstance(master, str):
                if master not in known and len(known) < MOST_MASTERS:
                    known[master] = await self._master(source, master)
                item = {**known.get(master, {}), **item}  # noqa: PLW2901
            latest.put(item["id"], _event(item, source.account))
        return Changes(latest.events, latest.gone, cursor, whole)

    async def _master(self, source: Source, master: str) -> Json:
        address = f"{self._base}/me/events/{quote(master, safe='')}"
        try:
            return await self._http.ask("GET", address, source.secret, headers={"prefer": PREFER})
        except AccessRefused:
            # Deleted meanwhile; its occurrences will be said to be gone.
            return {}


def _calendar(source: Source) -> str:
    if source.calendar_id == PRIMARY:
        return "/me"
    return f"/me/calendars/{quote(source.calendar_id, safe='')}"


def _event(item: Json, me: str | None) -> Event | None:
    """None for one that has no time that can be read."""
    start, end = _moment(item.get("start")), _moment(item.get("end"))
    if start is None or end is None:
        return None
    attendees = objects(item.get("attendees"))
    organizer = _address(item.get("organizer"))
    original = _utc(item.get("originalStart"))
    answered = item.get("responseStatus")
    answered = answered if isinstance(answered, dict) else {}
    mine = item.get("isOrganizer")
    return Event(
        id=str(item["id"]),
        uid=str(item.get("iCalUId") or item["id"]),
        start=start,
        end=end,
        key=moment_key(original) if original is not None else None,
        all_day=item.get("isAllDay") is True,
        title=str(item.get("subject") or ""),
        organizer=organizer,
        mine=mine if isinstance(mine, bool) else organizer is not None and organizer == me,
        people=tuple(
            found
            for one in attendees
            if one.get("type") != "resource" and (found := _address(one)) is not None
        ),
        declined=answered.get("response") == "declined",
        parts=(_parts(item),),
    )


def _parts(item: Json) -> Mapping[str, Any]:
    meeting, place, body = (
        found if isinstance(found, dict) else {}
        for found in (item.get("onlineMeeting"), item.get("location"), item.get("body"))
    )
    joins = [text_of(meeting.get("joinUrl")), text_of(item.get("onlineMeetingUrl"))]
    return {
        "CONFERENCE": [one for one in joins if one],
        "URL": text_of(place.get("locationUri")),
        "LOCATION": text_of(place.get("displayName")),
        "DESCRIPTION": text_of(body.get("content")),
    }


def _address(value: object) -> str | None:
    inner = value.get("emailAddress") if isinstance(value, dict) else None
    return text_of(inner.get("address")) if isinstance(inner, dict) else None


def _moment(value: object) -> datetime | None:
    """Of a `dateTimeTimeZone`, which was asked for in UTC."""
    if not isinstance(value, dict) or value.get("timeZone") != "UTC":
        return None
    return _utc(value.get("dateTime"))


def _utc(value: object) -> datetime | None:
    """A moment with up to seven places, and no offset where it is of UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
