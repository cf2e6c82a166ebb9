"""Objects that lie in storage for one command: lent to the bot, removed after it (API-71)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete
from sqlmodel import and_, col, exists, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.jobs.live_models import LentMedia
from core.jobs.models import Job, JobCommand

# The command follows its object within seconds; what has none by then was given up.
GIVEN_UP_AFTER: Final = timedelta(minutes=15)


def media_key(job_id: str, command_id: str) -> str:
    """Where the bot finds what it is to play."""
    return f"recordings/{job_id}/.media/{command_id}"


def screenshot_key(job_id: str, command_id: str) -> str:
    """Where the bot puts a screenshot. Ours to say: a bot's answer must not choose an object."""
    return f"recordings/{job_id}/screenshots/{command_id}.png"


async def lend(session: AsyncSession, job_id: str, command_id: str, *, now: datetime) -> str:
    """Write down that an object is about to be stored, so that it never stays; its key."""
    key = media_key(job_id, command_id)
    session.add(LentMedia(key=key, job_id=job_id, command_id=command_id, created_at=now))
    await session.flush()
    return key


async def returnable(
    session: AsyncSession, *, now: datetime, limit: int
) -> dict[str | None, list[str]]:
    """Keys of objects whose command is settled (a job's end settles all), or never came.

    By the storage that they lie in; None is the operator's.
    """
    own = col(JobCommand.id) == col(LentMedia.command_id)
    settled = exists().where(and_(own, col(JobCommand.settled_at).is_not(None)))
    given_up = and_(col(LentMedia.created_at) < now - GIVEN_UP_AFTER, ~exists().where(own))
    statement = (
        select(Job.storage_id, LentMedia.key)
        .join(Job, col(Job.id) == col(LentMedia.job_id))
        .where(or_(settled, given_up))
        .limit(limit)
    )
    found: dict[str | None, list[str]] = {}
    for storage_id, key in (await session.exec(statement)).all():
        found.setdefault(storage_id, []).append(key)
    return found


async def returned(session: AsyncSession, keys: Sequence[str]) -> None:
    """The objects are gone."""
    await session.exec(
        delete(LentMedia)
        .where(col(LentMedia.key).in_(keys))
        .execution_options(synchronize_session=False)
    )
