"""Writing webhooks into the outbox, in the transaction of what they tell (design.md D9)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Team
from core.database import DELIVERIES_CHANNEL, notify
from core.ids import new_id
from core.jobs.models import Job
from core.webhooks.events import EventName
from core.webhooks.models import Delivery, DeliveryStatus


async def emit(
    session: AsyncSession, job: Job, event: EventName, extra: dict[str, Any], *, now: datetime
) -> Delivery:
    """Write `event` about `job` into the ledger.

    Where the job has a target that wants it, it is due at once; otherwise only those who listen
    to the stream see it (API-36, API-57, API-64).

    The job's row must be locked by the caller: the order of emission is per job.
    """
    url = _target(job, event)
    job.last_emitted_at = _next_stamp(job.last_emitted_at, now)
    delivery = Delivery(
        # Lists are cut by time through their order by id, so the two must agree.
        id=new_id("dlv", job.last_emitted_at),
        team_id=job.team_id,
        job_id=job.id,
        event=event,
        url=url or "",
        version=await _version(session, job),
        data=common_data(job, event) | extra,
        livemode=job.livemode,
        emitted_at=job.last_emitted_at,
        status=DeliveryStatus.PENDING if url else DeliveryStatus.UNADDRESSED,
        next_attempt_at=now if url else None,
        created_at=now,
    )
    session.add(delivery)
    # At once, so that `seq` follows the order of the calls.
    await session.flush()
    await notify(session, DELIVERIES_CHANNEL, job.team_id)
    return delivery


def common_data(job: Job, event: EventName) -> dict[str, Any]:
    """What every event says about its job."""
    return {
        "event": event.value,
        "jobId": job.id,
        "externalId": job.external_id,
        "platform": job.platform,
        "status": job.status.value,
        "metadata": job.labels,
        "livemode": job.livemode,
    }


def _target(job: Job, event: EventName) -> str | None:
    """Where the job wants `event`; None when it wants it nowhere."""
    target = job.webhooks or {}
    wanted = target.get("events")
    if wanted is not None and event.value not in wanted:
        return None
    return target.get("onFinalize") or None


async def _version(session: AsyncSession, job: Job) -> int:
    """The job's, or the team's own (WH-13)."""
    if job.webhooks and job.webhooks.get("version"):
        return int(job.webhooks["version"])
    return (await session.get_one(Team, job.team_id)).webhook_version


def _next_stamp(last: datetime | None, now: datetime) -> datetime:
    """`now` in whole milliseconds, but always later than the last one."""
    stamp = now.replace(microsecond=now.microsecond // 1000 * 1000)
    if last is not None and stamp <= last:
        return last + timedelta(milliseconds=1)
    return stamp
