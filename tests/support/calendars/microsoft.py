"""Microsoft Graph v1.0 as its metadata has it, as far as calendars are read.

Occurrences of series come without what they share, as Graph's do in delta answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from core.clock import Clock
from tests.support.api_server import running_api
from tests.support.calendars.diary import ME, Entry, Occurrence
from tests.support.calendars.server import CalendarServer, oauth

BASE = "/v1.0"
DELTA = f"{BASE}/me/calendarView/delta"


@asynccontextmanager
async def running_graph(clock: Clock) -> AsyncIterator[CalendarServer]:
    server = CalendarServer(clock, rotates=True)
    async with running_api(_app(server)) as origin:
        server.origin = origin
        yield server


def error(status: int, code: str, **headers: str) -> Response:
    """As Graph writes errors."""
    body = {"error": {"code": code, "message": code, "innerError": {"request-id": "1"}}}
    return JSONResponse(body, status, headers=headers)


def _app(server: CalendarServer) -> FastAPI:
    app = FastAPI()
    oauth(app, server, {"offline_access", "Calendars.Read", "User.Read"})

    @app.get(f"{BASE}/me")
    async def me(request: Request) -> Response:
        if not server.allows(request):
            return error(401, "InvalidAuthenticationToken")
        return JSONResponse({"id": "1", "mail": ME.title(), "userPrincipalName": ME})

    @app.get(DELTA)
    async def delta(request: Request) -> Response:
        if not server.allows(request):
            return error(401, "InvalidAuthenticationToken")
        asked = dict(request.query_params)
        server.requests.append(asked)
        if server.faults:
            return server.faults.popleft()
        assert 'outlook.timezone="UTC"' in request.headers["prefer"]
        assert 'IdType="ImmutableId"' in request.headers["prefer"]
        return _page(server, asked)

    @app.get(f"{BASE}/me/events/{{event_id}}")
    async def event(event_id: str, request: Request) -> Response:
        if not server.allows(request):
            return error(401, "InvalidAuthenticationToken")
        entry = server.diary.entries.get(event_id)
        if entry is None:
            return error(404, "ErrorItemNotFound")
        return JSONResponse(_master(entry))

    _push(app, server)
    return app


def _push(app: FastAPI, server: CalendarServer) -> None:
    @app.post(f"{BASE}/subscriptions")
    async def subscribe(request: Request) -> Response:
        body = await request.json()
        assert body["notificationUrl"].startswith("https://")
        until = datetime.fromisoformat(body["expirationDateTime"])
        if (until - server.clock.now()).total_seconds() > 4230 * 60:
            return error(400, "ExtensionError")
        made = body | {"id": f"subscription-{len(server.channels)}"}
        server.channels[made["id"]] = made
        return JSONResponse(made, 201)

    @app.delete(f"{BASE}/subscriptions/{{subscription_id}}")
    async def unsubscribe(subscription_id: str) -> Response:
        if server.channels.pop(subscription_id, None) is None:
            return error(404, "ResourceNotFound")
        return Response(status_code=204)


def _page(server: CalendarServer, asked: dict[str, str]) -> Response:
    """One page. Links carry all that was asked: the window, the version, the offset."""
    diary = server.diary
    if "$deltatoken" in asked:
        window, version = asked["$deltatoken"].split("~")
        if int(version) < server.forgotten_before:
            return error(410, "SyncStateNotFound")
        start, found = 0, diary.since(int(version))
    elif "$skiptoken" in asked:
        window, version, offset = asked["$skiptoken"].split("~")
        start, found = int(offset), diary.since(int(version))
    else:
        window, version = f"{asked['startDateTime']}/{asked['endDateTime']}", "-1"
        start, found = 0, list(diary.occurrences())
    after, before = (datetime.fromisoformat(text) for text in window.split("/"))
    first = version == "-1"
    inside = [one for one in found if one.end > after and one.start < before]
    items = [
        *(_item(one) for one in inside if not one.cancelled),
        *({"@removed": {"reason": "deleted"}, "id": one.id} for one in inside if one.cancelled),
    ]
    if first:
        items = [one for one in items if "@removed" not in one]
        series = {one.entry.id: one.entry for one in inside if one.original is not None}
        items = [*(_master(one) for one in series.values()), *items]
    answer: dict[str, Any] = {"value": items[start : start + server.page]}
    if start + server.page < len(items):
        token = {"$skiptoken": f"{window}~{version}~{start + server.page}"}
        answer["@odata.nextLink"] = f"{server.origin}{DELTA}?{urlencode(token)}"
    else:
        token = {"$deltatoken": f"{window}~{diary.version}"}
        answer["@odata.deltaLink"] = f"{server.origin}{DELTA}?{urlencode(token)}"
    return JSONResponse(answer)


def _item(one: Occurrence) -> dict[str, Any]:
    times = {"start": _when(one.start), "end": _when(one.end)}
    if one.original is None:
        return {"id": one.id, "type": "singleInstance", **_shared(one.entry), **times}
    return {
        "id": one.id,
        "type": "occurrence" if one.start == one.original else "exception",
        "seriesMasterId": one.entry.id,
        "originalStart": one.original.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **times,
    }


def _master(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "type": "seriesMaster", **_shared(entry), "start": _when(entry.start)}


def _shared(entry: Entry) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "iCalUId": f"{entry.id}@example.com",
        "subject": entry.title,
        "body": {"contentType": "html", "content": entry.description},
        "isAllDay": entry.all_day,
        "isCancelled": False,
        "isOrganizer": entry.organizer == ME,
        "organizer": {"emailAddress": {"name": "O", "address": entry.organizer}},
        "responseStatus": {"response": "declined" if entry.declined else "accepted"},
        "attendees": [
            {"type": "required", "emailAddress": {"name": "A", "address": person}}
            for person in entry.people
        ]
        + [{"type": "resource", "emailAddress": {"name": "R", "address": "room4@example.com"}}],
        "location": {"displayName": "Room 4"},
        "onlineMeeting": None,
    }
    if entry.link is not None:
        shown["onlineMeeting"] = {"joinUrl": entry.link}
    return shown


def _when(moment: datetime) -> dict[str, str]:
    return {
        "dateTime": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.0000000",
        "timeZone": "UTC",
    }
