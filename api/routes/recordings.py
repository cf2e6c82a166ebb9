"""Recordings: list, read with links, delete for good (API-18 to API-20, MF-22)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter
from fastapi import Response as RawResponse

from api.dependencies import JobId, MemberDep, ServicesDep
from api.pagination import Cursor, Limit, decode_cursor, encode_cursor
from api.recording_media import detail
from api.schemas.errors import ErrorOut
from api.schemas.recordings import DeletionOut, RecordingDetail, RecordingOut, RecordingsPage
from core.accounts.models import Team
from core.accounts.service import webhook_secrets
from core.erasure.eraser import Eraser
from core.erasure.models import Erasure
from core.erasure.service import digest, request_erasure
from core.errors import NotFound, StorageError
from core.jobs.rows import owned_job
from core.recordings.listing import list_recordings, owned_recording
from core.webhooks.signing import signature

Answers = dict[int | str, dict[str, Any]]
NOT_FOUND: Final[Answers] = {404: {"model": ErrorOut}}
STORAGE: Final[Answers] = {502: {"model": ErrorOut}}

router = APIRouter(
    prefix="/api/v1/recordings",
    tags=["recordings"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 429, 500, 503)},
)


@router.get("", operation_id="listRecordings")
async def list_(
    member: MemberDep, services: ServicesDep, limit: Limit = 50, cursor: Cursor = None
) -> RecordingsPage:
    """Recordings, newest first: jobs whose manifest is in the bucket."""
    before = decode_cursor("job", cursor)
    async with services.database.begin() as session:
        found = await list_recordings(
            session, member.team_id, member.livemode, limit=limit + 1, before_id=before
        )
    page = found[:limit]
    more = encode_cursor(page[-1].id) if len(found) > limit else None
    return RecordingsPage(data=[RecordingOut.of(job) for job in page], next_cursor=more)


@router.get("/{id}", operation_id="getRecording", responses={**NOT_FOUND, **STORAGE})
async def get(job_id: JobId, member: MemberDep, services: ServicesDep) -> RecordingDetail:
    """A recording with its manifest and a link to each of its files, good for 15 minutes."""
    async with services.database.begin() as session:
        job = await owned_recording(session, member.team_id, member.livemode, job_id)
    storage = await services.storage_of(job)
    return await asyncio.to_thread(detail, job, storage, services.clock)


@router.delete(
    "/{id}",
    operation_id="deleteRecording",
    status_code=204,
    responses={
        **NOT_FOUND,
        **STORAGE,
        403: {"model": ErrorOut},
        409: {"model": ErrorOut},
    },
)
async def delete(job_id: JobId, member: MemberDep, services: ServicesDep) -> None:
    """Erase all content of a job that is over, for good. Usage stays, for the bill.

    Again: no harm. When the bucket is away it is tried again until it is done.
    """
    by = member.key_id or member.user_id or ""
    async with services.database.begin() as session:
        job = await owned_job(session, member.team_id, member.livemode, job_id)
        row = await request_erasure(session, job.id, by=by, now=services.clock.now())
    if row.objects is not None:
        return
    try:
        eraser = Eraser(services.database, services.storage_of, services.clock)
        await eraser.objects(job.id)
    except StorageError as error:
        raise StorageError(
            f"{error.message} Nobody is shown the recording any more; its objects will be removed "
            "as soon as the bucket lets us."
        ) from error


@router.get(
    "/{id}/deletion",
    operation_id="getRecordingDeletion",
    response_model=DeletionOut,
    responses={
        200: {
            "headers": {
                "x-meetbot-signature": {
                    "schema": {"type": "string"},
                    "description": "As of a webhook, with the team's secret, over these bytes.",
                },
                "digest": {
                    "schema": {"type": "string"},
                    "description": "`sha-256=` and the digest of these bytes, in hex.",
                },
            }
        },
        **NOT_FOUND,
    },
)
async def deletion(job_id: JobId, member: MemberDep, services: ServicesDep) -> RawResponse:
    """The receipt of a deletion: what went, when, and what was kept; signed like a webhook."""
    async with services.database.begin() as session:
        job = await owned_job(session, member.team_id, member.livemode, job_id)
        row = await session.get(Erasure, job.id)
        team = await session.get_one(Team, member.team_id)
    if row is None:
        raise NotFound(f"Nobody has deleted {job.id}.")
    text = row.receipt or DeletionOut.pending(row).model_dump_json(by_alias=True)
    secrets = webhook_secrets(team, services.box, now=services.clock.now())
    headers = {
        "x-meetbot-signature": signature(text.encode(), secrets),
        "digest": f"sha-256={digest(text)}",
        "cache-control": "no-store",
    }
    return RawResponse(text, media_type="application/json", headers=headers)
