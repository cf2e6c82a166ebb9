"""The life of a job as a stream of server-sent events (API-16)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from api.dependencies import OwnedJob, ServicesDep
from api.schemas.errors import ErrorOut
from api.schemas.jobs import StatusEvent
from api.services import Services
from core.jobs import service
from core.jobs.listing import transitions
from core.jobs.models import Job, Transition

# Notifications can be lost with a connection, so the tables are looked at anyway.
LOOK_SECONDS: Final = 5
# A stream ends then; clients come back by themselves, with the last id they saw.
LIFETIME_SECONDS: Final = 3600

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
            "description": "`status` events, one per move, and `progress` events while recording. "
            "The stream ends after the terminal status.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream(
    job: OwnedJob,
    services: ServicesDep,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """All moves of the job so far, then each new one as it happens."""
    seen = int(last_event_id) if last_event_id and last_event_id[:18].isdigit() else 0
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(
        _events(services, job.id, seen), media_type="text/event-stream", headers=headers
    )


async def _events(services: Services, job_id: str, seen: int) -> AsyncIterator[str]:
    deadline = services.clock.monotonic() + LIFETIME_SECONDS
    last_progress: dict[str, Any] | None = None
    with services.feed.watch(job_id) as changed:
        while services.clock.monotonic() < deadline:
            changed.clear()
            job, moves = await _look(services, job_id, seen)
            for move in moves:
                seen = move.seq or seen
                yield _message("status", _status(move), str(seen))
            if job.progress is not None and job.progress != last_progress:
                last_progress = job.progress
                yield _message("progress", {"jobId": job_id, **job.progress})
            if job.status.terminal:
                return
            try:
                await asyncio.wait_for(changed.wait(), LOOK_SECONDS)
            except TimeoutError:
                # A comment keeps proxies from closing a quiet stream.
                yield ": still here\n\n"


async def _look(services: Services, job_id: str, seen: int) -> tuple[Job, list[Transition]]:
    async with services.database.begin() as session:
        job = await service.find_job(session, job_id)
        return job, list(await transitions(session, job_id, after_seq=seen))


def _status(move: Transition) -> dict[str, Any]:
    event = StatusEvent(
        job_id=move.job_id,
        previous_status=move.previous_status,
        status=move.status,
        recording_state=move.recording_state,
        at=move.at,
    )
    return event.model_dump(mode="json", by_alias=True)


def _message(event: str, data: dict[str, Any], event_id: str | None = None) -> str:
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
