"""Settings of a team (API-43, API-44)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter

from api.dependencies import MemberDep, ServicesDep, SessionDep
from api.schemas.errors import ErrorOut
from api.schemas.settings import (
    ProbeOut,
    StorageIn,
    StorageOut,
    TranscriptionSettingsIn,
    TranscriptionSettingsOut,
)
from api.team_storage import saved_storage, shown_storage, tested_bucket
from api.team_transcription import saved_transcription
from core.errors import StorageError
from core.storage.probe import probe
from core.storage.s3 import S3Storage
from core.transcripts.settings import provider_keys, team_options

PROBE_SECONDS: Final = 60
Answers = dict[int | str, dict[str, Any]]
CHANGES: Final[Answers] = {403: {"model": ErrorOut}}

router = APIRouter(
    prefix="/api/v1/settings",
    tags=["account"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 429, 500, 503)},
)


@router.get("/storage", operation_id="getStorageSettings")
async def storage(login: SessionDep, services: ServicesDep) -> StorageOut:
    """Where the team's recordings go."""
    return await shown_storage(services, login.team_id)


@router.put("/storage", operation_id="setStorageSettings", responses=CHANGES)
async def set_storage(body: StorageIn, login: SessionDep, services: ServicesDep) -> StorageOut:
    """Set the team's bucket. Jobs that have begun keep the one they began with."""
    return await saved_storage(services, login.team_id, body)


@router.post(
    "/storage/test",
    operation_id="testStorageSettings",
    responses={**CHANGES, 502: {"model": ErrorOut}},
)
async def try_storage(
    login: SessionDep, services: ServicesDep, body: StorageIn | None = None
) -> ProbeOut:
    """Write, read, list and delete an object in the stored bucket, or in the one of the body."""
    uri, bucket = await tested_bucket(services, login.team_id, body)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            steps = await asyncio.to_thread(lambda: probe(S3Storage(bucket)))
    except TimeoutError:
        raise StorageError(f"The bucket did not answer within {PROBE_SECONDS} s.") from None
    if not all(step.ok for step in steps):
        raise StorageError(" ".join(step.message for step in steps))
    return ProbeOut.of(uri, steps)


@router.get("/transcription", operation_id="getTranscriptionSettings")
async def transcription(member: MemberDep, services: ServicesDep) -> TranscriptionSettingsOut:
    """Who transcribes the team's recordings when a job does not say."""
    async with services.database.begin() as session:
        options = await team_options(session, member.team_id)
        keys = await provider_keys(session, member.team_id)
    return TranscriptionSettingsOut.of(options, keys)


@router.put("/transcription", operation_id="setTranscriptionSettings", responses=CHANGES)
async def set_transcription(
    body: TranscriptionSettingsIn, member: MemberDep, services: ServicesDep
) -> TranscriptionSettingsOut:
    """Set who transcribes, and store the key of a provider."""
    return await saved_transcription(services, member.team_id, body)
