"""Asking a live bot for something: the checks, and the command (API-04 to API-14, API-68)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.jobs import commands
from core.jobs.models import Job, JobCommand
from core.jobs.rows import locked_job
from core.jobs.rules import check_allowed, check_supported
from core.jobs.verbs import Verb
from core.platforms.registry import spec_of


async def check_request(
    session: AsyncSession, job_id: str, verb: Verb, payload: Mapping[str, Any]
) -> Job:
    """The locked job, if it takes `verb` now.

    Raises:
        UnsupportedOnPlatform: its platform has no such thing.
        InvalidState: not in this status, or not in this state of the recording.
    """
    job = await locked_job(session, job_id)
    check_supported(verb, payload, spec_of(job.platform))
    statement = (
        select(JobCommand)
        .where(JobCommand.job_id == job_id, col(JobCommand.settled_at).is_(None))
        .order_by(col(JobCommand.issued_at), col(JobCommand.id))
    )
    open_verbs = [command.verb for command in (await session.exec(statement)).all()]
    check_allowed(verb, job.status, job.recording_state, open_verbs)
    return job


async def request_verb(
    session: AsyncSession,
    job_id: str,
    verb: Verb,
    payload: dict[str, Any],
    *,
    now: datetime,
    command_id: str | None = None,
) -> JobCommand:
    """Tell the bot; `leave-call` and `cancel` have functions of their own in `service`.

    Args:
        command_id: where it had to be known before; a fresh one else.

    Raises:
        InvalidState, UnsupportedOnPlatform: as `check_request`.
    """
    await check_request(session, job_id, verb, payload)
    return await commands.issue(
        session, job_id, verb, now=now, payload=payload, command_id=command_id
    )
