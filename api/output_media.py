"""Media for a bot to play, show or share: taken in, checked, lent to it (API-14, API-71)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api.asking import issue
from api.schemas.jobs import VerbResult
from api.schemas.verbs import OutputMediaIn
from api.services import Services
from core.errors import BadInput, Issue, MeetbotError, StorageError, TooLarge, Unavailable
from core.ids import new_id
from core.jobs.asking import check_request
from core.jobs.media import lend, returnable, returned
from core.jobs.models import Job
from core.jobs.verbs import Verb
from core.media_types import PLAYABLE, MediaKind, media_type_of

log = logging.getLogger(__name__)

MOST_BYTES: Final = 50 << 20
# Base64 makes four characters of three bytes; the rest is for the fields around it.
MOST_BODY_BYTES: Final = MOST_BYTES // 3 * 4 + (1 << 20)
ROUTE: Final = re.compile(r"/api/v1/jobs/[^/]+/output-media")
UPLOAD_SECONDS: Final = 120.0
TURN_SECONDS: Final = 30.0
TIDY_BATCH: Final = 100


async def read_body(request: Request) -> OutputMediaIn:
    """The body of a request, read when it is known who sends it.

    Raises:
        TooLarge: it is larger than a file of the largest size can make it.
        BadInput, RequestValidationError: it is not what `OutputMediaIn` says.
    """
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            content = await request.body()
    except TimeoutError:
        raise BadInput(f"The body did not arrive within {UPLOAD_SECONDS:g} s.") from None
    try:
        return await asyncio.to_thread(_parsed, content)
    except ValidationError as error:
        found = [{**entry, "loc": ("body", *entry["loc"])} for entry in error.errors()]
        raise RequestValidationError(found) from None


@asynccontextmanager
async def turn(services: Services) -> AsyncIterator[None]:
    """One of the few uploads that are held in memory at a time.

    Raises:
        Unavailable: others take too long.
    """
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await services.uploads.acquire()
    except TimeoutError:
        raise Unavailable("Too many uploads at once; try again.") from None
    try:
        yield
    finally:
        services.uploads.release()


async def check_output(services: Services, job: Job, kind: MediaKind) -> None:
    """Refuse before anything is fetched or stored what would be refused after it."""
    async with services.database.begin() as session:
        await check_request(session, job.id, Verb.OUTPUT_MEDIA, {"kind": kind})


async def output(services: Services, job: Job, body: OutputMediaIn) -> VerbResult:
    """Store the media for the job's bot and tell it.

    Raises:
        BadInput: no media of this kind; says what it is.
        TooLarge: more than 50 MiB.
        InvalidState, UnsupportedOnPlatform: the job does not take it.
        StorageError: it could not be stored.
    """
    await check_output(services, job, body.kind)
    data = await _bytes_of(services, body)
    mime_type = _checked_type(data, body)
    command_id = new_id("cmd")
    async with services.database.begin() as session:
        key = await lend(session, job.id, command_id, now=services.clock.now())
    try:
        storage = await services.storage_of(job)
        await asyncio.to_thread(storage.put_bytes, key, data, mime_type)
        payload = {"kind": body.kind, "key": key, "mimeType": mime_type, "loop": body.loop}
        command = await issue(services, job, Verb.OUTPUT_MEDIA, payload, command_id)
    except MeetbotError:
        await _remove(services, job.storage_id, [key])
        raise
    return VerbResult.of(command, Verb.OUTPUT_MEDIA)


async def tidy(services: Services) -> None:
    """Remove what bots were lent and have answered; what cannot be removed now is removed later.

    Raises:
        Unavailable: the database cannot be asked.
    """
    async with services.database.begin() as session:
        lent = await returnable(session, now=services.clock.now(), limit=TIDY_BATCH)
    for storage_id, keys in lent.items():
        await _remove(services, storage_id, keys)


async def _remove(services: Services, storage_id: str | None, keys: list[str]) -> None:
    try:
        storage = await services.storages.open(storage_id)
        await asyncio.to_thread(storage.delete, keys)
        async with services.database.begin() as session:
            await returned(session, keys)
    except (StorageError, Unavailable) as error:
        log.warning("lent media stays for now: %s", error.message)


def _parsed(content: bytes) -> OutputMediaIn:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        message = "The body is not valid JSON."
        raise BadInput(message, [Issue((), "invalid_json", message)]) from None
    return OutputMediaIn.model_validate(document)


async def _bytes_of(services: Services, body: OutputMediaIn) -> bytes:
    if body.url is not None:
        try:
            return await services.fetcher.fetch(body.url, MOST_BYTES)
        except BadInput as error:
            issue_ = Issue(("url",), "invalid_url", error.message)
            raise BadInput(error.message, [issue_]) from error
    try:
        data = await asyncio.to_thread(base64.b64decode, body.data or "", validate=True)
    except (binascii.Error, ValueError):
        message = "data is not base64; send the file's bytes in standard base64."
        raise BadInput(message, [Issue(("data",), "invalid_base64", message)]) from None
    if len(data) > MOST_BYTES:
        raise TooLarge(f"The file is larger than {MOST_BYTES >> 20} MiB.")
    return data


def _checked_type(data: bytes, body: OutputMediaIn) -> str:
    found, playable = media_type_of(data), PLAYABLE[body.kind]
    if found is not None and found in playable:
        return found
    known = ", ".join(playable.values())
    message = f"For kind {body.kind} send {known}; this is {found or 'of an unknown type'}."
    field = "url" if body.url is not None else "data"
    raise BadInput(message, [Issue((field,), "wrong_media_type", message)])
