"""Verbs on their way to a live bot: written here, heard by the meeting process (design.md D3).

All verbs of today are state verbs: they stay open until a bot settles them, so the next attempt
applies them again when one died with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import COMMANDS_CHANNEL, notify
from core.errors import NotFound
from core.ids import new_id
from core.jobs.models import JobCommand
from core.jobs.verbs import Outcome, Verb
from core.texts import plain_text


async def issue(
    session: AsyncSession,
    job_id: str,
    verb: Verb,
    *,
    now: datetime,
    payload: dict[str, Any] | None = None,
) -> JobCommand:
    """Write a command; its bot is woken when the transaction commits."""
    command = JobCommand(
        id=new_id("cmd"), job_id=job_id, verb=verb, payload=payload or {}, issued_at=now
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


async def settle(
    session: AsyncSession, command_id: str, outcome: Outcome, *, now: datetime, detail: str = ""
) -> JobCommand:
    """Say how a command ended; the first answer stays.

    Raises:
        NotFound: no such command.
    """
    command = await session.get(JobCommand, command_id, with_for_update=True)
    if command is None:
        raise NotFound(f"There is no command {command_id}.")
    if command.settled_at is None:
        command.settled_at, command.outcome, command.detail = now, outcome, plain_text(detail, 2000)
    return command


async def settle_all(
    session: AsyncSession, job_id: str, outcome: Outcome, *, now: datetime
) -> None:
    """The job is over: nothing stays open."""
    statement = select(JobCommand).where(
        JobCommand.job_id == job_id, col(JobCommand.settled_at).is_(None)
    )
    for command in (await session.exec(statement)).all():
        command.settled_at, command.outcome = now, outcome
        command.detail = "The job ended."
