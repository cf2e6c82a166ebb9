"""The end of a job: status, usage and last webhooks together, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlmodel import col, select

from core.accounts.models import Team
from core.billing.metering import Charge
from core.billing.models import UsageEvent, UsageKind
from core.billing.usage import Account, record_transcript
from core.database import Database
from core.errors import InvalidState, StaleAttempt
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.settlement import Settlement, settle
from core.webhooks.events import EventName
from core.webhooks.models import Delivery, DeliveryStatus
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

URI = "s3://bucket/recordings/job/manifest.json"
DONE = Settlement(exit_reason=ExitReason.LEAVE_REQUESTED, recorded_seconds=4253, manifest_uri=URI)


async def end(book: JobBook, job: Job, settlement: Settlement, fence: int | None = None) -> Job:
    async with book.database.begin() as session:
        return await settle(session, job.id, settlement, fence=fence, now=book.now)


async def usage(database: Database, job: Job) -> list[UsageEvent]:
    async with database.begin() as session:
        found = await session.exec(select(UsageEvent).where(UsageEvent.job_id == job.id))
        return list(found.all())


async def webhooks(database: Database, job: Job) -> list[Delivery]:
    """Those with somebody to go to."""
    async with database.begin() as session:
        statement = (
            select(Delivery)
            .where(Delivery.job_id == job.id, Delivery.status != DeliveryStatus.UNADDRESSED)
            .order_by(col(Delivery.seq))
        )
        return list((await session.exec(statement)).all())


async def test_a_completed_job_has_its_charge_and_tells_it_last(
    book: JobBook, database: Database
) -> None:
    """LC-11, LC-18, BL-05."""
    job = await book.add()
    fence = await book.bring_to(job, Status.FINALIZING)
    ended = await end(book, job, DONE, fence)
    assert (ended.status, ended.billed, ended.duration_seconds) == (Status.COMPLETED, True, 4253)
    assert (ended.hours_billed, ended.amount_usd) == (Decimal("1.181"), Decimal("0.354"))
    *_, changed, finalized = await webhooks(database, job)
    assert (changed.event, changed.data["status"]) == (EventName.STATUS_CHANGED, "completed")
    assert finalized.event is EventName.FINALIZED
    assert (
        finalized.data
        | {
            "manifestUri": URI,
            "durationSeconds": 4253,
            "billed": True,
            "hours_billed": 1.181,
            "amount_usd": 0.354,
            "exitReason": "leave_requested",
        }
        == finalized.data
    )
    assert changed.emitted_at < finalized.emitted_at


async def test_settling_again_changes_and_tells_nothing(book: JobBook, database: Database) -> None:
    """BL-02, LC-11: also when two tasks settle at the same moment."""
    job = await book.add()
    fence = await book.bring_to(job, Status.FINALIZING)
    await asyncio.gather(*(end(book, job, DONE, fence) for _ in range(4)))
    failing = Settlement(exit_reason=ExitReason.ERROR, failure_code=FailureCode.INTERNAL_ERROR)
    assert (await end(book, job, failing)).status is Status.COMPLETED
    assert len(await usage(database, job)) == 1
    finalized = [d for d in await webhooks(database, job) if d.event is EventName.FINALIZED]
    assert len(finalized) == 1


async def test_a_kicked_job_is_failed_billed_and_keeps_its_manifest(
    book: JobBook, database: Database
) -> None:
    """LC-17, FC-05, FC-07."""
    job = await book.add()
    fence = await book.bring_to(job, Status.FINALIZING)
    kicked = Settlement(
        exit_reason=ExitReason.KICKED,
        failure_code=FailureCode.REMOVED_FROM_MEETING,
        failure_detail="The page said: You have been kicked",
        adapter_error="kicked",
        recorded_seconds=90,
        manifest_uri=URI,
    )
    ended = await end(book, job, kicked, fence)
    assert (ended.status, ended.billed, ended.manifest_uri) == (Status.FAILED, True, URI)
    sent = await webhooks(database, job)
    assert [d.event for d in sent].count(EventName.FAILED) == 1
    assert EventName.FINALIZED not in {d.event for d in sent}
    data = sent[-1].data
    assert data["failure_code"] == data["failureCode"] == "removed_from_meeting"
    assert data["failure_detail"] == data["failure_reason"] == data["error"]
    assert (data["billed"], data["manifestUri"], data["durationSeconds"]) == (True, URI, 90)
    assert (data["exitReason"], data["adapterError"]) == ("kicked", "kicked")


@pytest.mark.parametrize(
    ("changes", "settlement", "billed"),
    [
        ({}, {"recorded_seconds": 59}, False),
        ({}, {"recorded_seconds": 60}, True),
        ({"livemode": False}, {"recorded_seconds": 600}, False),
        ({}, {"recorded_seconds": 600, "failure_code": FailureCode.INTERNAL_ERROR}, False),
        ({}, {"recorded_seconds": 600, "failure_code": FailureCode.NETWORK_LOSS}, True),
        ({}, {"recorded_seconds": 90, "cancelled": True}, True),
        ({}, {"recorded_seconds": None}, False),
    ],
    ids=["59s", "60s", "test-mode", "our-fault", "network", "cancelled", "never-recorded"],
)
async def test_what_is_billed(
    book: JobBook,
    database: Database,
    changes: dict[str, Any],
    settlement: dict[str, Any],
    billed: bool,
) -> None:
    """BL-07, BL-10, FC-05, FC-06, LC-13: one usage event in every case (BL-02)."""
    job = await book.add(**changes)
    fence = await book.bring_to(job, Status.FINALIZING)
    ended = await end(book, job, Settlement(exit_reason=ExitReason.ERROR, **settlement), fence)
    (event,) = await usage(database, job)
    assert (ended.billed, event.billed) == (billed, billed)
    assert event.seconds == (settlement["recorded_seconds"] or 0)
    assert (event.amount_usd > 0) is billed


async def test_a_transcript_of_ours_is_an_event_of_its_own(
    book: JobBook, database: Database
) -> None:
    """BL-15, D15: also when it is recorded again."""
    job = await book.add()
    fence = await book.bring_to(job, Status.FINALIZING)
    ended = await end(book, job, replace(DONE, transcribed=True), fence)
    outcome = Charge(4253, True, *(Decimal("1.181"), Decimal("0.354")) * 2)
    async with database.begin() as session:
        account = Account.of(job)
        await record_transcript(session, account, outcome, revision=1, now=book.now)
    recording, transcript = sorted(await usage(database, job), key=lambda event: event.kind)
    assert ended.amount_usd == recording.amount_usd == Decimal("0.354")
    assert recording.kind is UsageKind.RECORDING
    assert recording.transcription_amount_usd == 0
    assert (transcript.kind, transcript.revision) == (UsageKind.TRANSCRIPTION, 1)
    assert transcript.amount_usd == 0
    assert transcript.transcription_amount_usd == Decimal("0.118")


async def test_a_detail_that_quotes_a_hostile_page_is_made_storable(book: JobBook) -> None:
    """FC-02, D19."""
    job = await book.add()
    fence = await book.bring_to(job, Status.JOINING)
    detail = "It said: \x00\ud800 go\naway " + "x" * 5000
    failed = Settlement(ExitReason.ERROR, FailureCode.INTERNAL_ERROR, detail)
    ended = await end(book, job, failed, fence)
    assert ended.failure_detail is not None
    assert ended.failure_detail.startswith("It said: go away xxx")
    assert len(ended.failure_detail) == 2000


async def test_a_team_with_its_own_rate_pays_that(book: JobBook, database: Database) -> None:
    """BL-26."""
    async with database.begin() as session:
        team = await session.get_one(Team, book.team_id)
        team.rate_usd_per_hour = Decimal("0.24")
    job = await book.add()
    fence = await book.bring_to(job, Status.FINALIZING)
    assert (await end(book, job, DONE, fence)).amount_usd == Decimal("0.283")


async def test_a_job_without_a_target_ends_without_webhooks(
    book: JobBook, database: Database
) -> None:
    """API-64."""
    job = await book.add(webhooks=None)
    fence = await book.bring_to(job, Status.FINALIZING)
    await end(book, job, DONE, fence)
    assert await webhooks(database, job) == []


async def test_only_the_asked_for_events_are_queued(book: JobBook, database: Database) -> None:
    """API-57, CON-11."""
    wanted = {"onFinalize": "https://h.example/", "version": 1, "events": ["job.finalized"]}
    job = await book.add(webhooks=wanted)
    fence = await book.bring_to(job, Status.FINALIZING)
    await end(book, job, DONE, fence)
    assert [(d.event, d.version) for d in await webhooks(database, job)] == [
        (EventName.FINALIZED, 1)
    ]


async def test_an_outdated_attempt_cannot_settle(book: JobBook) -> None:
    job = await book.add()
    fence = await book.bring_to(job, Status.FINALIZING)
    await book.take(job)
    with pytest.raises(StaleAttempt):
        await end(book, job, DONE, fence)
    assert (await book.read(job)).status is Status.FINALIZING


async def test_a_failing_settlement_leaves_nothing_behind(
    book: JobBook, database: Database
) -> None:
    """One transaction: a job that cannot complete yet keeps its status, usage and outbox."""
    job = await book.add()
    fence = await book.bring_to(job, Status.JOINING)
    before = len(await webhooks(database, job))
    with pytest.raises(InvalidState):
        await end(book, job, DONE, fence)
    assert (await book.read(job)).status is Status.JOINING
    assert await usage(database, job) == []
    assert len(await webhooks(database, job)) == before
