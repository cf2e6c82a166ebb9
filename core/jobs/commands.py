"""Verbs on their way to a live bot: written here, heard by the meeting process (design.md D3).

State verbs stay open until a bot settles them, so the next attempt applies them again when one
died with them. Verbs that must not be repeated are claimed before they are done (`verbs.ONCE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import COMMANDS_CHANNEL, notify
from core.errors import NotFound
from core.ids import new_id
from core.jobs.live_models import NoticeKind
from core.jobs.models import JobCommand
from core.jobs.notices import note
from core.jobs.rows import locked_job
from core.jobs.verbs import ONCE, Outcome, Verb
from core.texts import plain_text

LOST: Final = "The bot's process died while it did this; whether it was done is not known."
NEVER_BEGUN: Final = "The job ended before the bot did this."
ENDED_MEANWHILE: Final = "The job ended while the bot did this; whether it was done is not known."
ENDED: Final = "The job ended."


async def issue(
    session: AsyncSession,
    job_id: str,
    verb: Verb,
    *,
    now: datetime,
    payload: dict[str, Any] | None = None,
    command_id: str | None = None,
) -> JobCommand:
    """Write a command; its bot is woken when the transaction commits."""
    command = JobCommand(
        id=command_id or new_id("cmd"),
        job_id=job_id,
        verb=verb,
        payload=payload or {},
        issued_at=now,
    )
    session.add(command)
    await session.flush()
    await notify(session, COMMANDS_CHANNEL, job_id)
    return command


async def claim_open(session: AsyncSession, job_id: str, fence: int) -> Sequence[JobCommand]:
    """The job's unsettled commands, oldest first, marked as seen by attempt `fence`."""
    statement = (
        select(JobCommand)
        .where(JobCommand.job_id == job_id, col(JobCommand.settled_at).is_(None))
        .order_by(col(JobCommand.issued_at), col(JobCommand.id))
        .with_for_update()
    )
    commands = (await session.exec(statement)).all()
    for command in commands:
        command.claimed_fence = max(fence, command.claimed_fence or 0)
    return commands


async def open_verbs(session: AsyncSession, job_id: str) -> frozenset[Verb]:
    """What the job's bot was asked to do and has not answered yet."""
    statement = select(JobCommand.verb).where(
        JobCommand.job_id == job_id, col(JobCommand.settled_at).is_(None)
    )
    return frozenset(Verb(verb) for verb in (await session.exec(statement)).all())


async def begin(session: AsyncSession, command_id: str, fence: int, *, now: datetime) -> bool:
    """Begin what must not be done twice; False when it is settled, or was begun before.

    A command that an attempt began and never settled is settled here, as `unknown`.

    Raises:
        NotFound: no such command.
        StaleAttempt: a newer attempt holds the job.
    """
    command = await _locked(session, command_id, fence=fence)
    if command.settled_at is not None:
        return False
    if command.acting_fence is not None:
        await _settle(session, command, Outcome.UNKNOWN, now, LOST)
        return False
    command.acting_fence = fence
    return True


async def settle(
    session: AsyncSession,
    command_id: str,
    outcome: Outcome,
    *,
    now: datetime,
    detail: str = "",
    result: dict[str, Any] | None = None,
) -> JobCommand:
    """Say how a command ended; the first answer stays.

    Raises:
        NotFound: no such command.
    """
    command = await _locked(session, command_id)
    if command.settled_at is None:
        command.result = result
        await _settle(session, command, outcome, now, detail)
    return command


async def settle_all(
    session: AsyncSession, job_id: str, outcome: Outcome, *, now: datetime
) -> None:
    """The job, locked by the caller, is over: nothing stays open.

    State verbs are answered with `outcome`; of what is done at most once nothing is claimed that
    is not known.
    """
    statement = (
        select(JobCommand)
        .where(JobCommand.job_id == job_id, col(JobCommand.settled_at).is_(None))
        .order_by(col(JobCommand.issued_at), col(JobCommand.id))
    )
    for command in (await session.exec(statement)).all():
        if command.verb not in ONCE:
            await _settle(session, command, outcome, now, ENDED)
        elif command.acting_fence is None:
            await _settle(session, command, Outcome.REFUSED, now, NEVER_BEGUN)
        else:
            await _settle(session, command, Outcome.UNKNOWN, now, ENDED_MEANWHILE)


async def _locked(
    session: AsyncSession, command_id: str, *, fence: int | None = None
) -> JobCommand:
    """The command's row, locked, after that of its job: in this order, as everybody."""
    found = await session.get(JobCommand, command_id)
    if found is None:
        raise NotFound(f"There is no command {command_id}.")
    await locked_job(session, found.job_id, fence=fence)
    return await session.get_one(
        JobCommand, command_id, with_for_update=True, populate_existing=True
    )


async def _settle(
    session: AsyncSession, command: JobCommand, outcome: Outcome, now: datetime, detail: str
) -> None:
    command.settled_at, command.outcome, command.detail = now, outcome, plain_text(detail, 2000)
    data = {
        "commandId": command.id,
        "verb": command.verb.value,
        "outcome": outcome.value,
        "detail": command.detail,
    }
    await note(session, command.job_id, NoticeKind.COMMAND, data, at=now)
