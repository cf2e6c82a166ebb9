"""What a bot says over HTTP, taken once: the service functions behind `POST /ingest` (API-76).

The same functions serve a bot that has the database at hand (`flows.channel`). Status, consent
and the like are written down by their number, in the transaction of what they change, so that a
message that is sent again because its answer was lost changes nothing and is answered the same.
Heartbeats and snapshots repeat themselves anyway and leave no row.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel
from sqlalchemy import delete
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import NotFound, Unauthorized
from core.ids import ULID_PATTERN
from core.jobs import commands, leases, notices, service
from core.jobs.bot_tokens import BotIdentity
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Event, RecordingState
from core.jobs.live_models import IngestedMessage
from core.jobs.models import JobCommand
from core.jobs.rows import locked_job
from core.jobs.settlement import Settlement, settle
from core.jobs.verbs import Outcome
from core.prices import PriceList

# Nobody sends a message again after this.
KEPT: Final = timedelta(days=1)


class MessageType(StrEnum):
    """`begin` and `settle` answer commands; the others report."""

    STATUS = "status"
    HEARTBEAT = "heartbeat"
    ROSTER = "roster"
    CHAT = "chat"
    CAPTION = "caption"
    CONSENT = "consent"
    COMPETING_BOT = "competing_bot"
    ARTIFACT = "artifact"
    EXIT = "exit"
    BEGIN = "begin"
    SETTLE = "settle"


LARGEST_RESULT: Final = 16 * 1024
# These may come again with another number, or never: the last one counts.
UNNUMBERED: Final = frozenset({MessageType.HEARTBEAT, MessageType.ROSTER})


def _storable(result: dict[str, Any]) -> dict[str, Any]:
    """Results are small, and fit a JSON column."""
    text = json.dumps(result, allow_nan=False, ensure_ascii=False).encode()
    if len(text) > LARGEST_RESULT or b"\\u0000" in text:
        raise ValueError("A result is at most 16 KiB of JSON in plain characters.")
    return result


CommandId = Annotated[str, Field(pattern=f"^cmd_{ULID_PATTERN}$")]


class _Payload(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class StatusPayload(_Payload):
    event: Event
    recording_state: RecordingState | None = None


class BeginPayload(_Payload):
    command_id: CommandId


class SettlePayload(_Payload):
    command_id: CommandId
    outcome: Outcome
    detail: str = ""
    result: Annotated[dict[str, Any], AfterValidator(_storable)] | None = None


class ExitPayload(_Payload):
    """How the job ended, as a settlement; `recordedSeconds` null when nothing was recorded."""

    exit_reason: ExitReason
    failure_code: FailureCode | None = None
    failure_detail: str | None = None
    adapter_error: str | None = None
    cancelled: StrictBool = False
    recorded_seconds: Annotated[Decimal, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = None
    manifest_uri: Annotated[str, Field(max_length=2048, pattern=r"^s3://[!-~]+$")] | None = None
    transcribed: StrictBool = False


@dataclass(frozen=True)
class Message:
    """One message of a bot: its number, when it happened, what it says."""

    seq: int
    at: datetime
    type: MessageType
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Taken:
    """What the bot is answered. `begun` for `begin` only; `fresh` is False for a repetition."""

    answer: dict[str, Any]
    fresh: bool


async def take(
    session: AsyncSession,
    bot: BotIdentity,
    message: Message,
    *,
    now: datetime,
    lease_seconds: float,
    prices: PriceList | None = None,
) -> Taken:
    """Do what a message says, once.

    Args:
        prices: the operator's price list, for the message that ends the job.

    Raises:
        ValidationError: the payload is not what its type needs (pydantic's).
        NotFound: no such job, or no such command of this job.
        StaleAttempt: a newer attempt holds the job.
        Unauthorized: the job is over, and its token with it.
        InvalidState: the lifecycle has no such move (LC-02).
    """
    job = await locked_job(session, bot.job_id, fence=bot.fence)
    earlier = await session.get(IngestedMessage, (bot.job_id, bot.fence, message.seq))
    if earlier is not None:
        return Taken(earlier.answer, fresh=False)
    if job.status.terminal:
        raise Unauthorized(f"The job is {job.status}: the token of its bot is no longer valid.")
    # Whoever speaks is alive.
    await leases.renew_lease(session, bot.job_id, bot.fence, seconds=lease_seconds, now=now)
    if message.type is MessageType.EXIT:
        answer = await _exit(session, bot, message, now, prices)
    else:
        answer = await _HANDLERS[message.type](session, bot, message, now)
    if message.type not in UNNUMBERED:
        session.add(
            IngestedMessage(
                job_id=bot.job_id, fence=bot.fence, seq=message.seq, answer=answer, at=now
            )
        )
        await session.flush()
    return Taken(answer, fresh=True)


async def open_commands(session: AsyncSession, bot: BotIdentity) -> list[JobCommand]:
    """What the bot was told and has not answered, oldest first.

    Raises:
        StaleAttempt: a newer attempt holds the job.
    """
    await locked_job(session, bot.job_id, fence=bot.fence)
    return list(await commands.claim_open(session, bot.job_id, bot.fence))


async def forget(session: AsyncSession, *, now: datetime) -> None:
    """Drop the numbers of messages that are too old to come again."""
    await session.exec(
        delete(IngestedMessage)
        .where(col(IngestedMessage.at) < now - KEPT)
        .execution_options(synchronize_session=False)
    )


async def _status(
    session: AsyncSession, bot: BotIdentity, message: Message, now: datetime
) -> dict[str, Any]:
    said = StatusPayload.model_validate(message.payload)
    await service.apply_event(
        session,
        bot.job_id,
        said.event,
        fence=bot.fence,
        now=now,
        at=message.at,
        recording_state=said.recording_state,
    )
    return {}


async def _roster(
    session: AsyncSession, bot: BotIdentity, message: Message, now: datetime
) -> dict[str, Any]:
    progress = service.LiveProgress.model_validate(_dated(message))
    shown = (await service.find_job(session, bot.job_id)).progress
    if shown is not None and datetime.fromisoformat(shown["at"]) > progress.at:
        # It was overtaken on its way.
        return {}
    await service.save_progress(session, bot.job_id, progress, fence=bot.fence, now=now)
    return {}


async def _consent(
    session: AsyncSession, bot: BotIdentity, message: Message, now: datetime
) -> dict[str, Any]:
    answer = notices.Consent.model_validate(_dated(message))
    await notices.consent_answered(session, bot.job_id, answer, fence=bot.fence, now=now)
    return {}


async def _competing_bot(
    session: AsyncSession, bot: BotIdentity, message: Message, now: datetime
) -> dict[str, Any]:
    seen = notices.CompetingBot.model_validate(_dated(message))
    await notices.competing_bot_seen(session, bot.job_id, seen, fence=bot.fence, now=now)
    return {}


async def _exit(
    session: AsyncSession,
    bot: BotIdentity,
    message: Message,
    now: datetime,
    prices: PriceList | None,
) -> dict[str, Any]:
    said = ExitPayload.model_validate(message.payload)
    settlement = Settlement(**said.model_dump(), ended_at=message.at)
    await settle(session, bot.job_id, settlement, now=now, fence=bot.fence, prices=prices)
    return {}


async def _begin(
    session: AsyncSession, bot: BotIdentity, message: Message, now: datetime
) -> dict[str, Any]:
    command_id = BeginPayload.model_validate(message.payload).command_id
    await _check_command(session, bot, command_id)
    return {"begun": await commands.begin(session, command_id, bot.fence, now=now)}


async def _settle(
    session: AsyncSession, bot: BotIdentity, message: Message, now: datetime
) -> dict[str, Any]:
    said = SettlePayload.model_validate(message.payload)
    await _check_command(session, bot, said.command_id)
    await commands.settle(
        session,
        said.command_id,
        said.outcome,
        now=now,
        detail=said.detail,
        result=said.result,
    )
    return {}


async def _nothing_more(*_: object) -> dict[str, Any]:
    """A sign of life: what was said and made is in the journal, which goes to storage (D8)."""
    return {}


async def _check_command(session: AsyncSession, bot: BotIdentity, command_id: str) -> None:
    """Another job's commands do not exist for this bot (AU-16)."""
    command = await session.get(JobCommand, command_id)
    if command is None or command.job_id != bot.job_id:
        raise NotFound(f"There is no command {command_id}.")


def _dated(message: Message) -> dict[str, Any]:
    return {**message.payload, "at": message.at}


_Handler = Callable[[AsyncSession, BotIdentity, Message, datetime], Awaitable[dict[str, Any]]]
_HANDLERS: Final[Mapping[MessageType, _Handler]] = {
    MessageType.STATUS: _status,
    MessageType.HEARTBEAT: _nothing_more,
    MessageType.ROSTER: _roster,
    MessageType.CHAT: _nothing_more,
    MessageType.CAPTION: _nothing_more,
    MessageType.CONSENT: _consent,
    MessageType.COMPETING_BOT: _competing_bot,
    MessageType.ARTIFACT: _nothing_more,
    MessageType.BEGIN: _begin,
    MessageType.SETTLE: _settle,
}
