"""What a meeting's page showed when it kept the bot out or threw it out."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter

from api.dependencies import MembersJob, ServicesDep
from api.recording_media import evidence
from api.schemas.errors import ErrorOut
from api.schemas.jobs import JobEvidence

ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": ErrorOut} for code in (400, 401, 404, 429, 500, 502, 503)
}

router = APIRouter(prefix="/api/v1/jobs", tags=["bots"], responses=ERRORS)


@router.get("/{id}/evidence", operation_id="getJobEvidence")
async def get(job: MembersJob, services: ServicesDep) -> JobEvidence:
    """Pictures, documents and addresses of such screens, each with a link good for 15 minutes.

    Empty while nothing went wrong, and until the job is over.
    """
    storage = await services.storage_of(job)
    return await asyncio.to_thread(evidence, job, storage, services.clock)
