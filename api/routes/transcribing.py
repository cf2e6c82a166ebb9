"""Another transcript of a recording, or a first one that nobody waited for (API-86, D18)."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from api.dependencies import MembersJob, ServicesDep
from api.schemas.errors import ErrorOut
from api.schemas.transcribing import TranscribeIn, TranscribeOut
from core.billing import gate
from core.jobs.spec import TranscriptionOptions
from core.transcripts.requests import request_transcript
from core.transcripts.settings import options_for

ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": ErrorOut} for code in (400, 401, 402, 403, 404, 409, 429, 500, 503)
}

router = APIRouter(prefix="/api/v1/jobs", tags=["bots"], responses=ERRORS)


@router.post("/{id}/transcribe", operation_id="transcribeJob", status_code=202)
async def transcribe(job: MembersJob, body: TranscribeIn, services: ServicesDep) -> TranscribeOut:
    """Have the delivered recording transcribed, with another provider or once more.

    The transcript replaces the one before when it is ready. The add-on is charged for each.
    """
    async with services.database.begin() as session:
        asked = TranscriptionOptions(**body.model_dump())
        options = await options_for(session, job.team_id, asked)
        if options.mode == "addon":
            await gate.check_created(session, job, enabled=services.settings.billing.gated)
        now = services.clock.now()
        row = await request_transcript(session, job, options, now=now)
    return TranscribeOut.of(row)
