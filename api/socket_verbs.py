"""Verbs by name, for the socket: the same functions as the routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from api import ending, output_media
from api.asking import ask, take_screenshot
from api.schemas.jobs import VerbResult
from api.schemas.verbs import (
    ChatMessageIn,
    OutputMediaIn,
    PermissionRequestIn,
    PinIn,
    ScreenshotOut,
    payload_of,
)
from api.schemas.wire import Request
from api.services import Services
from core.errors import BadInput, Issue
from core.jobs.models import Job
from core.jobs.verbs import Verb

Answer = VerbResult | ScreenshotOut
_BODIES: Final[Mapping[Verb, type[Request]]] = {
    Verb.CONSENT: PermissionRequestIn,
    Verb.CHAT: ChatMessageIn,
    Verb.PIN: PinIn,
}


async def do_verb(services: Services, job: Job, document: Mapping[str, Any]) -> Answer:
    """Do what `document` asks for, `{"verb": ..., ...}`.

    Raises:
        BadInput, ValidationError: it is no verb, or lacks what the verb needs.
        MeetbotError: as the verb's route.
    """
    verb = _verb(document.get("verb"))
    special = _SPECIAL.get(verb)
    if special is not None:
        return await special(services, job, document)
    body = _BODIES.get(verb)
    payload = payload_of(body.model_validate(document)) if body is not None else {}
    return await ask(services, job, verb, payload)


def _verb(name: object) -> Verb:
    if isinstance(name, str) and name in _NAMES:
        return _NAMES[name]
    message = f"Unknown verb; use one of {', '.join(_NAMES)}."
    raise BadInput(message, [Issue(("verb",), "unknown_verb", message)])


async def _leave(services: Services, job: Job, _: Mapping[str, Any]) -> Answer:
    return await ending.leave(services, job)


async def _screenshot(services: Services, job: Job, _: Mapping[str, Any]) -> Answer:
    return await take_screenshot(services, job)


async def _output(services: Services, job: Job, document: Mapping[str, Any]) -> Answer:
    async with output_media.turn(services):
        return await output_media.output(services, job, OutputMediaIn.model_validate(document))


# `cancel` is the DELETE of a job, not a verb of the meeting.
_NAMES: Final = {verb.value: verb for verb in Verb if verb is not Verb.CANCEL}
_Special = Callable[[Services, Job, Mapping[str, Any]], Awaitable[Answer]]
_SPECIAL: Final[Mapping[Verb, _Special]] = {
    Verb.LEAVE: _leave,
    Verb.SCREENSHOT: _screenshot,
    Verb.OUTPUT_MEDIA: _output,
}
