"""Verbs for live bots: what the routes and the socket share (API-04 to API-14)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from api.schemas.jobs import VerbResult
from api.schemas.verbs import ScreenshotOut
from api.services import Services
from api.waiting import until_settled
from core.errors import InvalidState, Unavailable
from core.jobs.asking import request_verb
from core.jobs.media import screenshot_key
from core.jobs.models import Job, JobCommand
from core.jobs.verbs import Outcome, Verb

SCREENSHOT_SECONDS: Final = 15.0
LINK_SECONDS: Final = 900
SLOW_BOT: Final = (
    f"The bot did not answer within {SCREENSHOT_SECONDS:g} s. The request stands: its answer "
    "comes as a `command` event. Or try again."
)


class _Taken(BaseModel):
    """What a bot says of a screenshot. Where it lies is not the bot's to say."""

    model_config = ConfigDict(alias_generator=to_camel)

    width: int = Field(ge=1, le=32_768)
    height: int = Field(ge=1, le=32_768)
    taken_at: AwareDatetime


async def ask(
    services: Services, job: Job, verb: Verb, payload: dict[str, Any] | None = None
) -> VerbResult:
    """Tell the job's bot; what comes of it shows in the job and on its event stream."""
    return VerbResult.of(await issue(services, job, verb, payload or {}), verb)


async def issue(
    services: Services,
    job: Job,
    verb: Verb,
    payload: dict[str, Any],
    command_id: str | None = None,
) -> JobCommand:
    """As `ask`, for those who have more to do with the command."""
    async with services.database.begin() as session:
        now = services.clock.now()
        return await request_verb(session, job.id, verb, payload, now=now, command_id=command_id)


async def take_screenshot(services: Services, job: Job) -> ScreenshotOut:
    """Have the bot take a picture, and wait for it.

    Raises:
        InvalidState: the job has no bot in a meeting, or the bot refused, in its own words.
        Unavailable: it did not answer in time, or died; the command stays.
    """
    issued = await issue(services, job, Verb.SCREENSHOT, {})
    command = await until_settled(services, issued, SCREENSHOT_SECONDS)
    if command is None:
        raise Unavailable(SLOW_BOT)
    if command.outcome is Outcome.REFUSED:
        raise InvalidState(command.detail or "The bot refused to take a screenshot.")
    if command.outcome is Outcome.UNKNOWN:
        raise Unavailable(command.detail)
    try:
        taken = _Taken.model_validate(command.result)
    except ValidationError as error:
        raise Unavailable("The bot did not say what it took; try again.") from error
    key = screenshot_key(job.id, command.id)
    storage = await services.storage_of(job)
    return ScreenshotOut(
        uri=storage.uri(key),
        url=await asyncio.to_thread(storage.link, key, LINK_SECONDS),
        width=taken.width,
        height=taken.height,
        taken_at=taken.taken_at,
    )
