"""Google Calendar's API v3 as its discovery document has it, as far as calendars are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from core.clock import Clock, epoch_ms
from tests.support.api_server import running_api
from tests.support.calendars.diary import ME, Occurrence
from tests.support.calendars.server import CalendarServer, oauth

SCOPE = "https://www.googleapis.com/auth/calendar.readonly"
BASE = "/calendar/v3"


@asynccontextmanager
async def running_google(clock: Clock) -> AsyncIterator[CalendarServer]:
    server = CalendarServer(clock)
    async with running_api(_app(server)) as origin:
        server.origin = origin
        yield server


def error(status: int, reason: str, **headers: str) -> Response:
    """As Google writes errors."""
    one = {"domain": "calendar", "reason": reason, "message": reason}
    body = {"error": {"code": status, "message": reason, "errors": [one]}}
    return JSONResponse(body, status, headers=headers)


def _app(server: CalendarServer) -> FastAPI:
    app = FastAPI()
    oauth(app, server, {SCOPE})

    @app.get(f"{BASE}/calendars/primary")
    async def calendar(request: Request) -> Response:
        if not server.allows(request):
            return error(401, "authError")
        return JSONResponse({"kind": "calendar#calendar", "id": ME, "summary": ME})

    @app.get(f"{BASE}/calendars/{{calendar_id}}/events")
    async def events(calendar_id: str, request: Request) -> Response:
        if not server.allows(request):
            return error(401, "authError")
        asked = dict(request.query_params)
        server.requests.append(asked)
        if server.faults:
            return server.faults.popleft()
        if calendar_id not in {"primary", ME}:
            return error(404, "notFound")
        assert asked["singleEvents"] == "true"
        if "syncToken" in asked and asked.keys() & {"timeMin", "timeMax", "orderBy", "q"}:
            return error(400, "badRequest")
        return _page(server, asked)

    _push(app, server)
    return app


def _push(app: FastAPI, server: CalendarServer) -> None:
    @app.post(f"{BASE}/calendars/{{calendar_id}}/events/watch")
    async def watch(calendar_id: str, request: Request) -> Response:
        if not server.allows(request):
            return error(401, "authError")
        body = await request.json()
        assert body["type"] == "web_hook"
        assert body["address"].startswith("https://")
        life = timedelta(seconds=int(body["params"]["ttl"]))
        server.channels[body["id"]] = body | {"resourceId": f"resource-{calendar_id}"}
        return JSONResponse(
            {
                "kind": "api#channel",
                "id": body["id"],
                "resourceId": f"resource-{calendar_id}",
                "token": body["token"],
                "expiration": str(epoch_ms(server.clock.now() + life)),
            }
        )

    @app.post(f"{BASE}/channels/stop")
    async def stop(request: Request) -> Response:
        body = await request.json()
        known = server.channels.get(body["id"])
        if known is None or known["resourceId"] != body["resourceId"]:
            return error(404, "channelIdInvalid")
        del server.channels[body["id"]]
        return Response(status_code=204)


def _page(server: CalendarServer, asked: dict[str, str]) -> Response:
    """One page; page tokens are offsets, sync tokens are versions of the diary."""
    diary = server.diary
    if "syncToken" in asked:
        version = int(asked["syncToken"].removeprefix("sync-"))
        if version < server.forgotten_before:
            return error(410, "fullSyncRequired")
        found = diary.since(version)
        items = [_gone(one) if one.cancelled else _item(one) for one in found]
    else:
        span = [datetime.fromisoformat(asked[name]) for name in ("timeMin", "timeMax")]
        items = [_item(one) for one in diary.between(*span) if not one.cancelled]
    start, size = int(asked.get("pageToken", 0)), min(server.page, int(asked["maxResults"]))
    answer: dict[str, Any] = {"kind": "calendar#events", "items": items[start : start + size]}
    if start + size < len(items):
        answer["nextPageToken"] = str(start + size)
    else:
        answer["nextSyncToken"] = f"sync-{diary.version}"
    return JSONResponse(answer)


def _gone(one: Occurrence) -> dict[str, Any]:
    """Of cancelled ones only this is sure to be there."""
    return {"kind": "calendar#event", "id": one.id, "status": "cancelled"}


def _item(one: Occurrence) -> dict[str, Any]:
    entry = one.entry
    item: dict[str, Any] = {
        "kind": "calendar#event",
        "id": one.id,
        "status": "confirmed",
        "iCalUID": f"{entry.id}@example.com",
        "summary": entry.title,
        "description": entry.description,
        "organizer": {"email": entry.organizer} | _self(entry.organizer),
        "start": _when(one.start, all_day=entry.all_day),
        "end": _when(one.end, all_day=entry.all_day),
        "attendees": [
            {"email": person, "responseStatus": _answer(person, declined=entry.declined)}
            | _self(person)
            for person in entry.people
        ]
        + [{"email": "room-4@resource.calendar.google.com", "resource": True}],
    }
    if entry.link is not None:
        item["hangoutLink"] = entry.link
        item["conferenceData"] = {"entryPoints": [{"entryPointType": "video", "uri": entry.link}]}
    if one.original is not None:
        item |= {
            "recurringEventId": entry.id,
            "originalStartTime": _when(one.original, all_day=entry.all_day),
        }
    return item


def _self(person: str) -> dict[str, Any]:
    return {"self": True} if person == ME else {}


def _answer(person: str, *, declined: bool) -> str:
    return "declined" if declined and person == ME else "accepted"


def _when(moment: datetime, *, all_day: bool) -> dict[str, str]:
    if all_day:
        return {"date": f"{moment:%Y-%m-%d}"}
    return {"dateTime": moment.isoformat(), "timeZone": "Europe/Berlin"}
