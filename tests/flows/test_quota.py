"""Jobs that come due when their team's credit is gone (BL-23, BL-24)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr
from sqlmodel import select

from core.billing.stripe_models import BillingAccount, PaymentMethodSeen
from core.database import Database
from core.errors import BotFault, QuotaExceeded
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.secrets import SecretBox
from core.settings import BillingSettings, SandboxSettings, Settings
from core.storage.local import LocalStorage
from core.webhooks.events import EventName
from core.webhooks.models import Delivery
from flows.resources import Resources
from flows.run import MeetingRun
from flows.simulated import DRIVER
from tests.support.billing import record
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

SIMULATED = {"driver": DRIVER, "room_url": f"{DRIVER}:1"}


@pytest.fixture
async def book(database: Database, box: SecretBox, clock: ManualClock) -> JobBook:
    return await JobBook.open(database, box, clock)


@pytest.fixture
def start(book: JobBook, tmp_path: Path) -> Callable[..., MeetingRun]:
    """The process of a job."""

    def make(job: Job, *, gated: bool = True) -> MeetingRun:
        resources = Resources(
            settings=Settings(
                data_dir=tmp_path,
                billing=BillingSettings(enabled=gated),
                sandbox=SandboxSettings(simulated=True),
            ),
            clock=book.clock,
            database=book.database,
            box=book.box,
            storage=LocalStorage(tmp_path / "b", files_url="http://f", link_secret=SecretStr("s")),
            courier=cast("Any", None),
        )
        return MeetingRun(resources, job.id, "process-1")

    return make


async def scheduled(book: JobBook) -> Job:
    """A job that is due now, made while there was credit, which is gone meanwhile."""
    job = await book.add(join_at=book.now + timedelta(hours=1), **SIMULATED)
    await record(book, 60_000)
    book.clock.advance(3600)
    return job


async def reaches_its_bot(run: MeetingRun) -> None:
    """It is let through to opening a session, which refuses a simulated room to a live job."""
    async with run:
        with pytest.raises(BotFault, match="Simulated meetings are for test keys"):
            await run.dispatch()


async def test_a_job_that_comes_due_without_credit_and_card_fails(
    book: JobBook, start: Callable[..., MeetingRun]
) -> None:
    """BL-23, FC-06: nothing is billed, and the message says what to do."""
    job = await scheduled(book)
    run = start(job)
    with pytest.raises(QuotaExceeded) as raised:
        await run.dispatch()
    assert raised.value.retryable is False
    run.outcome.fail(raised.value)
    await run.meter()
    ended = await book.read(job)
    assert (ended.status, ended.failure_code) == (Status.FAILED, FailureCode.QUOTA_EXCEEDED)
    assert "/account/billing" in (ended.failure_detail or "")
    assert (ended.billed, ended.exit_reason) == (False, ExitReason.ERROR)
    async with book.database.begin() as session:
        sent = (await session.exec(select(Delivery).where(Delivery.job_id == job.id))).all()
    assert EventName.FAILED in {delivery.event for delivery in sent}


async def test_with_a_card_it_starts(book: JobBook, start: Callable[..., MeetingRun]) -> None:
    """BL-21, BL-25."""
    job = await scheduled(book)
    async with book.database.begin() as session:
        session.add(BillingAccount(team_id=book.team_id, customer_id="cus_1"))
        session.add(PaymentMethodSeen(id="pm_1", customer_id="cus_1"))
    await reaches_its_bot(start(job))


async def test_where_nobody_collects_money_it_starts(
    book: JobBook, start: Callable[..., MeetingRun]
) -> None:
    job = await scheduled(book)
    await reaches_its_bot(start(job, gated=False))


async def test_a_meeting_under_way_goes_on_without_credit(
    book: JobBook, start: Callable[..., MeetingRun]
) -> None:
    """BL-24: another process takes over a job that had begun; nobody asks again."""
    job = await book.add(**SIMULATED)
    await book.bring_to(job, Status.JOINING)
    await record(book, 60_000)
    book.clock.advance(60)
    await reaches_its_bot(start(job))
