"""Google Calendar: events of one calendar by sync tokens, and push channels (API v3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from pydantic import SecretStr

from core.calendars.base import AccessRefused, Changes, Channel, Latest, Source, Window
from core.calendars.events import Event
from core.calendars.http import Json, JsonClient, objects, text_of
from core.clock import Clock, from_epoch_ms, rfc3339
from core.errors import Unavailable
from core.invites.reading import moment_key

SCOPE: Final = "https://www.googleapis.com/auth/calendar.readonly"
# Without these no refresh token comes, or only the first time.
CONSENT: Final = {"access_type": "offline", "prompt": "consent", "include_granted_scopes": "false"}
PAGE: Final = "250"
MOST_PAGES: Final = 40
# Google allows a month; renewed a day before (core/calendars/channels.py).
CHANNEL_LIFE: Final = timedelta(days=7)


class GoogleCalendar:
    """One person's calendar at a time; `base` is the API's address."""

    def __init__(self, http: JsonClient, base: str, clock: Clock) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._clock = clock

    async def account(self, token: SecretStr) -> str | None:
        """Whose grant it is: the id of somebody's first calendar is their address.

        Raises:
            AccessRefused, Throttled, Unavailable: as `CalendarProvider.changes`.
        """
        found = await self._http.ask("GET", f"{self._base}/calendars/primary", token)
        return text_of(found.get("id"))

    async def changes(self, source: Source, cursor: str | None, window: Window) -> Changes:
        """As `CalendarProvider.changes`; occurrences of series come one by one."""
        wanted = {"singleEvents": "true", "maxResults": PAGE}
        if cursor is not None:
            wanted["syncToken"] = cursor
        else:
            wanted |= {"timeMin": rfc3339(window.after), "timeMax": rfc3339(window.before)}
        address = f"{self._base}/calendars/{quote(source.calendar_id, safe='')}/events"
        latest = Latest()
        for _ in range(MOST_PAGES):
            page = await self._http.ask("GET", address, source.secret, params=wanted)
            for item in objects(page.get("items")):
                if (name := text_of(item.get("id"))) is not None:
                    latest.put(name, _event(item))
            following = page.get("nextPageToken")
            if not isinstance(following, str):
                token = text_of(page.get("nextSyncToken"))
                return Changes(latest.events, latest.gone, token, cursor is None)
            wanted["pageToken"] = following
        raise Unavailable(f"Google's calendar has more than {MOST_PAGES * int(PAGE)} events.")

    async def watch(self, source: Source, channel_id: str, token: str, address: str) -> Channel:
        """As `Watching.watch`."""
        answer = await self._http.ask(
            "POST",
            f"{self._base}/calendars/{quote(source.calendar_id, safe='')}/events/watch",
            source.secret,
            body={
                "id": channel_id,
                "type": "web_hook",
                "address": address,
                "token": token,
                "params": {"ttl": str(int(CHANNEL_LIFE.total_seconds()))},
            },
        )
        resource, expires = answer.get("resourceId"), str(answer.get("expiration", ""))
        if not isinstance(resource, str):
            raise Unavailable("Google opened no channel.")
        until = (
            from_epoch_ms(int(expires))
            if expires.isdigit() and len(expires) < 16
            else self._clock.now() + CHANNEL_LIFE
        )
        return Channel(channel_id, resource, until)

    async def unwatch(self, source: Source, channel: Channel) -> None:
        """As `Watching.unwatch`."""
        try:
            await self._http.ask(
                "POST",
                f"{self._base}/channels/stop",
                source.secret,
                body={"id": channel.id, "resourceId": channel.resource_id},
            )
        except AccessRefused:
            # It is over: channels end with the grant, and unknown ones are answered 404.
            return


def _event(item: Json) -> Event | None:
    """None for one that is cancelled, or has no time that can be read."""
    start, end = _moment(item.get("start")), _moment(item.get("end"))
    if item.get("status") == "cancelled" or start is None or end is None:
        return None
    attendees = objects(item.get("attendees"))
    organizer = item.get("organizer")
    organizer = organizer if isinstance(organizer, dict) else {}
    original = _moment(item.get("originalStartTime"))
    own = next((one for one in attendees if one.get("self") is True), {})
    return Event(
        id=str(item["id"]),
        uid=str(item.get("iCalUID") or item["id"]),
        start=start,
        end=end,
        key=moment_key(original) if original is not None else None,
        all_day="dateTime" not in item["start"],
        title=str(item.get("summary") or ""),
        organizer=text_of(organizer.get("email")),
        mine=organizer.get("self") is True,
        people=tuple(
            str(one["email"])
            for one in attendees
            if one.get("email") and one.get("resource") is not True
        ),
        declined=own.get("responseStatus") == "declined",
        parts=(_parts(item),),
    )


def _parts(item: Json) -> Mapping[str, Any]:
    conference = item.get("conferenceData")
    entries = objects(conference.get("entryPoints")) if isinstance(conference, dict) else []
    video = [str(one["uri"]) for one in entries if one.get("entryPointType") == "video"]
    return {
        "CONFERENCE": [*video, *filter(None, [text_of(item.get("hangoutLink"))])],
        "LOCATION": text_of(item.get("location")),
        "DESCRIPTION": text_of(item.get("description")),
    }


def _moment(value: object) -> datetime | None:
    """`dateTime` with an offset, or the first moment of a `date`, in UTC."""
    if not isinstance(value, dict):
        return None
    try:
        if isinstance(value.get("dateTime"), str):
            moment = datetime.fromisoformat(value["dateTime"])
            return moment.astimezone(UTC) if moment.tzinfo else None
        day = date.fromisoformat(str(value.get("date")))
    except (ValueError, OverflowError):
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
