"""Writing webhooks into the outbox, in the transaction of what they tell (design.md D9)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from core.ids import new_id
from core.jobs.models import Job
from core.webhooks.events import EventName
from core.webhooks.models import Delivery


async def emit(
    session: AsyncSession, job: Job, event: EventName, extra: dict[str, Any], *, now: datetime
) -> Delivery | None:
    """Queue `event` about `job`; None when the job wants no such webhook (API-57, API-64).

    The job's row must be locked by the caller: the order of emission is per job.
    """
    target = job.webhooks
    if not target or not target.get("onFinalize"):
        return None
    if target.get("events") is not None and event.value not in target["events"]:
        return None
    job.last_emitted_at = _next_stamp(job.last_emitted_at, now)
    delivery = Delivery(
        id=new_id("dlv"),
        team_id=job.team_id,
        job_id=job.id,
        event=event,
        url=target["onFinalize"],
        version=target["version"],
        data=common_data(job, event) | extra,
        livemode=job.livemode,
        emitted_at=job.last_emitted_at,
        next_attempt_at=now,
        created_at=now,
    )
    session.add(delivery)
    # At once, so that `seq` follows the order of the calls.
    await session.flush()
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


def _next_stamp(last: datetime | None, now: datetime) -> datetime:
    """`now` in whole milliseconds, but always later than the last one."""
    stamp = now.replace(microsecond=now.microsecond // 1000 * 1000)
    if last is not None and stamp <= last:
        return last + timedelta(milliseconds=1)
    return stamp
