"""Bots in another network: their reports in, their commands out (API-22, API-76)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Security
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api.dependencies import ServicesDep
from api.schemas.errors import ErrorOut
from api.schemas.ingest import CommandOut, IngestIn, IngestOut
from api.schemes import ingest_scheme
from api.services import Services
from core.errors import Unauthorized
from core.jobs import ingest
from core.jobs.bot_tokens import BotIdentity, read_bot_token
from core.jobs.models import JobCommand

# The net under the notifications, which can be lost with a connection.
LOOK_SECONDS: Final = 5.0

router = APIRouter(
    tags=["ingest"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 404, 409, 429, 500, 503)},
)


def bot(
    request: Request, services: ServicesDep, _: Annotated[object, Security(ingest_scheme)]
) -> BotIdentity:
    """Which attempt speaks, by its token."""
    keys = services.settings.encryption_keys
    return read_bot_token(keys, request.headers.get("authorization"))


@router.post("/api/v1/ingest", operation_id="ingest", status_code=202)
async def take(
    body: IngestIn, speaker: Annotated[BotIdentity, Depends(bot)], services: ServicesDep
) -> IngestOut:
    """Take one message of a bot, and tell it what it is asked to do.

    A token is dead with its attempt (409 `stale_attempt`) and with its job (401).
    """
    if body.job_id != speaker.job_id:
        raise Unauthorized("This token is another job's.")
    message = ingest.Message(body.seq, body.at, body.type, body.payload)
    try:
        async with services.database.begin() as session:
            taken = await ingest.take(
                session,
                speaker,
                message,
                now=services.clock.now(),
                lease_seconds=services.settings.bot.lease_seconds,
                prices=services.settings.billing.prices,
            )
    except ValidationError as error:
        found = [{**one, "loc": ("body", "payload", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(found) from None
    found_commands = await _commands(services, speaker, body)
    return IngestOut(
        repeated=not taken.fresh,
        begun=taken.answer.get("begun"),
        commands=[CommandOut.of(command) for command in found_commands],
    )


async def _commands(services: Services, speaker: BotIdentity, body: IngestIn) -> list[JobCommand]:
    """The open commands; waits for one that the bot does not know, as long as it likes to."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + body.wait_seconds
    known = set(body.known_commands)
    with services.command_feed.watch(speaker.job_id) as changed:
        while True:
            changed.clear()
            async with services.database.begin() as session:
                found = await ingest.open_commands(session, speaker)
            left = deadline - loop.time()
            if left <= 0 or any(command.id not in known for command in found):
                return found
            try:
                await asyncio.wait_for(changed.wait(), min(left, LOOK_SECONDS))
            except TimeoutError:
                continue
