"""Live control: verbs for a bot in its meeting (API-04 to API-14)."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from api import output_media
from api.asking import ask, take_screenshot
from api.dependencies import OwnedJob, ServicesDep
from api.schemas.errors import ErrorOut
from api.schemas.jobs import VerbResult
from api.schemas.verbs import (
    ChatMessageIn,
    OutputMediaIn,
    PermissionRequestIn,
    PinIn,
    ScreenshotOut,
    payload_of,
)
from core.jobs.verbs import Verb

TOLD: Final = 202

router = APIRouter(
    prefix="/api/v1/jobs",
    tags=["bots"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 404, 409, 429, 500, 503)},
)


@router.post(
    "/{id}/request-recording-permission",
    operation_id="requestRecordingPermission",
    status_code=TOLD,
)
async def request_permission(
    job: OwnedJob, services: ServicesDep, body: PermissionRequestIn | None = None
) -> VerbResult:
    """Ask the people in the meeting, in its chat; their answer comes as an event."""
    asked = body or PermissionRequestIn()
    return await ask(services, job, Verb.CONSENT, payload_of(asked))


@router.post("/{id}/pause-recording", operation_id="pauseRecording", status_code=TOLD)
async def pause(job: OwnedJob, services: ServicesDep) -> VerbResult:
    """Record nothing until the recording is resumed; the bot stays in the meeting."""
    return await ask(services, job, Verb.PAUSE)


@router.post("/{id}/resume-recording", operation_id="resumeRecording", status_code=TOLD)
async def resume(job: OwnedJob, services: ServicesDep) -> VerbResult:
    """Go on with a paused recording."""
    return await ask(services, job, Verb.RESUME)


@router.post("/{id}/stop-recording", operation_id="stopRecording", status_code=TOLD)
async def stop(job: OwnedJob, services: ServicesDep) -> VerbResult:
    """End the recording; the bot stays in the meeting."""
    return await ask(services, job, Verb.STOP)


@router.post("/{id}/start-recording", operation_id="startRecording", status_code=TOLD)
async def start(job: OwnedJob, services: ServicesDep) -> VerbResult:
    """Record again after a stop, in a new segment."""
    return await ask(services, job, Verb.START)


@router.post("/{id}/send-chat-message", operation_id="sendChatMessage", status_code=TOLD)
async def send_chat_message(
    job: OwnedJob, services: ServicesDep, body: ChatMessageIn
) -> VerbResult:
    """Write to everybody in the meeting."""
    return await ask(services, job, Verb.CHAT, payload_of(body))


@router.post("/{id}/pin-participant", operation_id="pinParticipant", status_code=TOLD)
async def pin(job: OwnedJob, services: ServicesDep, body: PinIn) -> VerbResult:
    """Pin somebody in the bot's own view, and so in the tab video."""
    return await ask(services, job, Verb.PIN, payload_of(body))


@router.post(
    "/{id}/screenshot",
    operation_id="takeScreenshot",
    status_code=201,
    responses={502: {"model": ErrorOut}},
)
async def screenshot(job: OwnedJob, services: ServicesDep) -> ScreenshotOut:
    """A picture of the meeting; waits up to 15 s for the bot."""
    return await take_screenshot(services, job)


def _described(model: type[OutputMediaIn]) -> dict[str, Any]:
    """For the document: the route reads its large body itself."""
    schema = model.model_json_schema(by_alias=True)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/{id}/output-media",
    operation_id="startOutputMedia",
    status_code=TOLD,
    responses={413: {"model": ErrorOut}, 502: {"model": ErrorOut}},
    openapi_extra=_described(OutputMediaIn),
)
async def start_output(job: OwnedJob, services: ServicesDep, request: Request) -> VerbResult:
    """Let the bot speak (audio), show a picture (image) or share its screen (video)."""
    async with output_media.turn(services):
        body = await output_media.read_body(request)
        return await output_media.output(services, job, body)


@router.delete("/{id}/output-media", operation_id="stopOutputMedia", status_code=204)
async def stop_output(job: OwnedJob, services: ServicesDep) -> Response:
    """End what the bot plays, shows and shares."""
    await ask(services, job, Verb.STOP_OUTPUT_MEDIA)
    return Response(status_code=204)
