"""What of a job's rows is content and goes, and what is evidence and stays.

A test holds the two lists against all tables that name a job: a new one has to choose.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import delete, update
from sqlmodel import SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing.models import UsageEvent
from core.calendars.models import CalendarEvent
from core.erasure.models import Erasure
from core.idempotency import IdempotentRequest
from core.invites.models import InvitedMeeting
from core.jobs.live_models import IngestedMessage, JobNotice, LentMedia
from core.jobs.models import Job, JobCommand, Transition
from core.jobs.postponed import PostponedUpload
from core.transcripts.models import TranscriptRequest
from core.webhooks.models import Delivery, DeliveryAttempt

# Removed by the id of their job.
ERASED: Final[tuple[type[Any], ...]] = (
    Delivery,
    JobNotice,
    JobCommand,
    IngestedMessage,
    LentMedia,
    PostponedUpload,
    TranscriptRequest,
    InvitedMeeting,
    CalendarEvent,
)
# Ids, moments, states and amounts: what bills and receipts rest on.
KEPT: Final[tuple[type[SQLModel], ...]] = (Transition, UsageEvent, Erasure)
# Columns of the job itself that say something of a meeting, and what they become.
BLANK: Final[dict[str, Any]] = {
    "meeting_url": "",
    "room_url": None,
    "display_name": "",
    "webhooks": None,
    "labels": {},
    "secrets": None,
    "progress": None,
    "failure_detail": None,
    "adapter_error": None,
    "manifest_uri": None,
    "evidence": None,
}


async def erase_rows(session: AsyncSession, job: Job) -> dict[str, int]:
    """Remove the content of a locked job; how many rows of each table that were."""
    own = select(Delivery.id).where(Delivery.job_id == job.id)
    removed: dict[str, int] = {
        DeliveryAttempt.__tablename__: (
            await session.exec(
                delete(DeliveryAttempt).where(col(DeliveryAttempt.delivery_id).in_(own))
            )
        ).rowcount
    }
    for table in ERASED:
        done = await session.exec(delete(table).where(col(table.job_id) == job.id))
        removed[table.__tablename__] = done.rowcount
    # The answer to the request that made the job; the key stays, so that it makes no second one.
    answers = await session.exec(
        update(IdempotentRequest)
        .where(
            col(IdempotentRequest.seed) == job.id[4:], col(IdempotentRequest.answer).is_not(None)
        )
        .values(answer=None)
    )
    removed[IdempotentRequest.__tablename__] = answers.rowcount
    # Customers' own names for things may say anything.
    job.external_id = job.id
    for name, value in BLANK.items():
        setattr(job, name, value)
    await session.flush()
    return {name: count for name, count in sorted(removed.items()) if count}


async def rows_left(session: AsyncSession, job_id: str) -> int:
    """How many rows with content of the job there are, its own among them."""
    left = 0
    for table in ERASED:
        of_job = select(func.count()).where(col(table.job_id) == job_id)
        left += (await session.exec(of_job)).one()
    job = await session.get_one(Job, job_id, populate_existing=True)
    return left + any(getattr(job, name) != value for name, value in BLANK.items())
