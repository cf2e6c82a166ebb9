"""Recorded jobs for tests about money, ended through the code that ends them."""

from __future__ import annotations

from decimal import Decimal

from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.settlement import Settlement, settle
from core.prices import PriceList
from tests.support.jobs import JobBook


async def record(
    book: JobBook,
    seconds: int | Decimal,
    *,
    livemode: bool = True,
    transcribed: bool = False,
    failure: FailureCode | None = None,
    prices: PriceList | None = None,
    region: str = "local",
) -> Job:
    """A job that recorded so long, and is over."""
    job = await book.add(livemode=livemode, webhooks=None, region=region)
    fence = await book.bring_to(job, Status.FINALIZING)
    settlement = Settlement(
        exit_reason=ExitReason.ERROR if failure else ExitReason.CALL_ENDED,
        failure_code=failure,
        recorded_seconds=Decimal(seconds),
        manifest_uri=f"s3://bucket/recordings/{job.id}/manifest.json",
        transcribed=transcribed,
    )
    async with book.database.begin() as session:
        return await settle(session, job.id, settlement, fence=fence, now=book.now, prices=prices)
