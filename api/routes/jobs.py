"""Jobs: create, read, list, cancel, leave."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from api import ending, starting
from api.dependencies import CallerDep, JobId, OwnedJob, ReadingDep, ServicesDep
from api.idempotency import REPLAY_HEADER, job_id_of
from api.new_job import checked_job
from api.pagination import Cursor, Limit, decode_cursor, encode_cursor
from api.schemas.create_job import CreateJob, ExternalId
from api.schemas.errors import ErrorOut
from api.schemas.jobs import COLUMNS, JobOut, JobsPage, VerbResult
from api.schemas.wire import MomentIn
from core.billing import gate
from core.dispatch import admission
from core.errors import BadInput, Issue
from core.jobs.creation import create_job
from core.jobs.lifecycle import Status
from core.jobs.listing import JobFilter, list_jobs
from core.jobs.rows import owned_job
from core.platforms.registry import PLATFORMS, parse_platform

log = logging.getLogger(__name__)

# Older names; and inside the call means recording or not (CON-01, CON-03, CON-05).
STATUS_FILTERS: Final = {
    **{status.value: frozenset({status}) for status in Status},
    "in_meeting": frozenset({Status.IN_MEETING, Status.RECORDING}),
    "in_call": frozenset({Status.IN_MEETING, Status.RECORDING}),
    "canceled": frozenset({Status.CANCELLED}),
}
SLUGS: Final = frozenset(str(spec.slug) for spec in PLATFORMS)
Answers = dict[int | str, dict[str, Any]]
NOT_FOUND: Final[Answers] = {404: {"model": ErrorOut}}
CONFLICT: Final[Answers] = {409: {"model": ErrorOut}}
CommaList = Annotated[str | None, Query(max_length=500, description="Separated by commas.")]

router = APIRouter(
    prefix="/api/v1/jobs",
    tags=["bots"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 429, 500, 503)},
)


@router.post(
    "",
    operation_id="createJob",
    status_code=201,
    responses={
        200: {"model": JobOut, "description": "The job that this externalId made before."},
        402: {"model": ErrorOut},
        413: {"model": ErrorOut},
        **CONFLICT,
    },
)
async def create(
    body: CreateJob,
    request: Request,
    caller: CallerDep,
    services: ServicesDep,
    response: Response,
) -> JobOut:
    """Send a bot to a meeting."""
    new = replace(await checked_job(body, caller, services), id=job_id_of(request))
    async with services.database.begin() as session:
        now = services.clock.now()
        job, created = await create_job(
            session, services.box, new, now=now, settings=services.settings
        )
        if created:
            await gate.check_created(session, job, enabled=services.settings.billing.gated)
            limit = services.settings.lifecycle.team_meetings
            await admission.check_start(session, job, team_limit=limit, now=now)
    if created:
        await starting.submit(services, job)
    else:
        response.status_code = 200
        response.headers[REPLAY_HEADER] = "true"
    return JobOut.of(job)


@router.get("", operation_id="listJobs")
async def list_(
    reading: ReadingDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: CommaList = None,
    platform: CommaList = None,
    external_id: Annotated[ExternalId | None, Query(alias="externalId")] = None,
    created_after: Annotated[MomentIn | None, Query(alias="createdAfter")] = None,
    created_before: Annotated[MomentIn | None, Query(alias="createdBefore")] = None,
) -> JobsPage:
    """Jobs, newest first."""
    wanted = JobFilter(
        statuses=_statuses(status),
        platforms=_platforms(platform),
        external_id=external_id,
        created_after=created_after,
        created_before=created_before,
    )
    before = decode_cursor("job", cursor)
    caller = reading.caller
    jobs = await list_jobs(
        reading.session,
        caller.team_id,
        caller.livemode,
        wanted,
        columns=COLUMNS,
        limit=limit + 1,
        before_id=before,
    )
    page = jobs[:limit]
    more = encode_cursor(page[-1]["id"]) if len(jobs) > limit else None
    return JobsPage(
        data=[JobOut.of_columns(job) for job in page],
        next_cursor=more,
    )


@router.get("/{id}", operation_id="getJob", responses=NOT_FOUND)
async def get(job_id: JobId, reading: ReadingDep) -> JobOut:
    """One job as it is now."""
    caller = reading.caller
    return JobOut.of(await owned_job(reading.session, caller.team_id, caller.livemode, job_id))


@router.delete(
    "/{id}", operation_id="cancelJob", status_code=204, responses={**NOT_FOUND, **CONFLICT}
)
async def cancel(job: OwnedJob, services: ServicesDep) -> None:
    """Take the bot away; what it recorded is delivered."""
    await ending.cancel(services, job)


@router.post(
    "/{id}/leave-call",
    operation_id="leaveCall",
    status_code=202,
    responses={**NOT_FOUND, **CONFLICT},
)
async def leave(job: OwnedJob, services: ServicesDep) -> VerbResult:
    """Have the bot leave and deliver; before it is in the meeting this cancels the job."""
    return await ending.leave(services, job)


def _statuses(text: str | None) -> frozenset[Status]:
    found: set[Status] = set()
    for name in _names(text):
        if name not in STATUS_FILTERS:
            known = ", ".join(STATUS_FILTERS)
            message = f"Unknown status; use some of {known}."
            raise BadInput(message, [Issue(("status",), "unknown_status", message)])
        found |= STATUS_FILTERS[name]
    return frozenset(found)


def _platforms(text: str | None) -> frozenset[str]:
    return frozenset(name if name in SLUGS else parse_platform(name)[0] for name in _names(text))


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
