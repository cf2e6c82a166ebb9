"""Who said what (API-15, API-74)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final, Literal, NoReturn

from fastapi import APIRouter, Query
from fastapi import Response as RawResponse
from pydantic import ValidationError

from api.dependencies import OwnedJob, ServicesDep
from api.schemas.errors import ErrorOut
from api.schemas.transcripts import TranscriptOut
from core.errors import (
    NotFound,
    ObjectMissing,
    StorageError,
    TranscriptNotEnabled,
    TranscriptPending,
)
from core.jobs.models import Job
from core.recordings.manifest import MANIFEST_NAME, Manifest, TranscriptState
from core.storage.base import Storage
from core.transcripts.requests import pending_request

Format = Literal["json", "vtt", "txt"]
MEDIA_TYPES: Final = {
    "json": "application/json",
    "vtt": "text/vtt; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}

router = APIRouter(
    prefix="/api/v1/jobs",
    tags=["bots"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 404, 409, 429, 500, 502, 503)},
)


@router.get(
    "/{id}/transcript",
    operation_id="getTranscript",
    response_model=TranscriptOut,
    responses={
        200: {
            "content": {
                "text/vtt": {"schema": {"type": "string"}},
                "text/plain": {"schema": {"type": "string"}},
            }
        }
    },
)
async def transcript(
    job: OwnedJob,
    services: ServicesDep,
    wanted: Annotated[
        Format, Query(alias="format", description="`vtt` for players, `txt` for readers.")
    ] = "json",
) -> RawResponse:
    """The transcript of a job that asked for one, or had one made later."""
    asked = job.transcription.get("mode", "off") != "off"
    if not job.status.terminal and asked:
        raise TranscriptPending(
            f"The job is {job.status}; its transcript comes with its manifest. Ask again then."
        )
    async with services.database.begin() as session:
        if await pending_request(session, job.id) is not None:
            raise TranscriptPending("The transcript is being made. Ask again in a minute.")
    if job.manifest_uri is None:
        _nothing(job, asked, "off")
    storage = await services.storage_of(job)
    content = await asyncio.to_thread(_read, storage, job, wanted, asked)
    return RawResponse(content, media_type=MEDIA_TYPES[wanted])


def _read(storage: Storage, job: Job, wanted: Format, asked: bool) -> bytes:
    prefix = f"recordings/{job.id}/"
    try:
        if wanted == "vtt":
            return storage.get_bytes(f"{prefix}transcript.vtt")
        content = storage.get_bytes(f"{prefix}transcript.json")
        found = TranscriptOut.model_validate_json(content)
    except ObjectMissing:
        manifest = Manifest.model_validate_json(storage.get_bytes(f"{prefix}{MANIFEST_NAME}"))
        _nothing(job, asked, manifest.transcript, manifest.transcript_failure)
    except ValidationError as exc:
        raise StorageError(f"The transcript of {job.id} is not as it was written.") from exc
    text = found.text if wanted == "txt" else found.model_dump_json(by_alias=True)
    return text.encode()


def _nothing(job: Job, asked: bool, state: TranscriptState, failure: str | None = None) -> NoReturn:
    """Say why there is no transcript.

    Raises:
        TranscriptNotEnabled, TranscriptPending, NotFound: one of them, always.
    """
    if not asked:
        raise TranscriptNotEnabled(
            f"{job.id} asked for no transcript. Send `transcription.mode` with the next job."
        )
    if state == "pending":
        raise TranscriptPending("The transcript is being made. Ask again in a minute.")
    if failure is not None:
        raise NotFound(
            f"The transcript of {job.id} failed: {failure} Ask for another one with "
            f"POST /api/v1/jobs/{job.id}/transcribe."
        )
    raise NotFound(
        f"{job.id} has no transcript: nothing was recorded, it was deleted, or it failed."
    )
