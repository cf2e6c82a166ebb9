"""The life of a job as a stream of server-sent events (API-16)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from api.dependencies import OwnedJob, ServicesDep
from api.live_events import Cursor, LiveEvent, live_events
from api.schemas.errors import ErrorOut
from api.schemas.streams import EVENT
from api.services import Services

router = APIRouter(
    prefix="/api/v1/jobs",
    tags=["bots"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 404, 429, 500, 503)},
)


@router.get(
    "/{id}/events",
    operation_id="streamJobEvents",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`status`: one per move. `progress`: while recording. `command`: the "
            "bot has answered a verb. `consent`: somebody has answered the request to record. "
            "`competing_bot`: another notetaker is in the room. The stream ends after the "
            "terminal status.",
            "content": {"text/event-stream": {"schema": EVENT}},
        }
    },
)
async def stream(
    job: OwnedJob,
    services: ServicesDep,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """All that happened to the job so far, then each new event as it happens."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(
        _messages(services, job.id, Cursor.parse(last_event_id)),
        media_type="text/event-stream",
        headers=headers,
    )


async def _messages(services: Services, job_id: str, seen: Cursor) -> AsyncIterator[str]:
    async for event in live_events(services, job_id, seen):
        # A comment keeps proxies from closing a quiet stream.
        yield ": still here\n\n" if event is None else _message(event)


def _message(event: LiveEvent) -> str:
    head = f"id: {event.id}\n" if event.id is not None else ""
    data = json.dumps(event.data, separators=(",", ":"))
    return f"{head}event: {event.name}\ndata: {data}\n\n"
