"""Recordings that storage did not take: until when, how often, and how it ends (D9, MF-16)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from core.billing.models import UsageEvent
from core.database import Database
from core.errors import InvalidState, StaleAttempt
from core.jobs import leases, postponed
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.postponed import LONGEST_WAIT, PostponedUpload
from core.jobs.settlement import Settlement
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

DAY = 86_400
LEFT = Settlement(exit_reason=ExitReason.LEAVE_REQUESTED)


@pytest.fixture
async def waiting(book: JobBook, database: Database) -> Job:
    """A job whose meeting is over and whose storage is away."""
    job = await book.add()
    fence = await book.bring_to(job, Status.FINALIZING)
    await put_off(book, job, fence)
    return await book.read(job)


async def put_off(book: JobBook, job: Job, fence: int, error: str = "No answer.") -> None:
    async with book.database.begin() as session:
        await postponed.postpone(
            session, job.id, LEFT,
            fence=fence, machine="bots-1", error=error, keep_seconds=DAY, now=book.now,
        )  # fmt: skip


async def due(book: JobBook, machine: str = "bots-1") -> list[str]:
    async with book.database.begin() as session:
        return list(await postponed.due_uploads(session, machine, now=book.now, limit=10))


async def refuse(book: JobBook, job: Job, error: str = "Still no answer.") -> None:
    async with book.database.begin() as session:
        await postponed.refused_again(session, job.id, error, now=book.now)


async def row_of(book: JobBook, job: Job) -> PostponedUpload | None:
    async with book.database.begin() as session:
        return await session.get(PostponedUpload, job.id)


async def test_the_job_stays_finalizing_and_is_held_for_its_machine(
    book: JobBook, waiting: Job
) -> None:
    """Nobody takes its silence for a crash: neither another run, nor who watches leases."""
    assert waiting.status is Status.FINALIZING
    book.clock.advance(DAY)
    with pytest.raises(InvalidState, match="uploads@bots-1"):
        await book.take(waiting, "another-run")


async def test_who_looks_for_dead_processes_can_tell_it_from_one(
    book: JobBook, waiting: Job
) -> None:
    """D10: its lease is not renewed, and that means nothing."""
    alive = await book.add()
    await book.bring_to(alive, Status.FINALIZING)
    async with book.database.begin() as session:
        found = await leases.leases_of_live_jobs(session, limit=10)
        assert [lease.job_id for lease in found] == [alive.id]


async def test_the_last_renewals_of_the_ending_process_do_not_let_it_go(
    book: JobBook, waiting: Job
) -> None:
    async with book.database.begin() as session:
        await leases.renew_lease(session, waiting.id, waiting.fence, seconds=10, now=book.now)
    assert (await book.read(waiting)).lease_until == waiting.lease_until


async def test_only_the_newest_attempt_can_postpone(book: JobBook, waiting: Job) -> None:
    with pytest.raises(StaleAttempt):
        await put_off(book, waiting, waiting.fence - 1)


async def test_attempts_come_less_and_less_often(book: JobBook, waiting: Job) -> None:
    waits = []
    for _ in range(8):
        row = await row_of(book, waiting)
        assert row is not None
        waits.append((row.next_attempt_at - book.now).total_seconds())
        book.clock.advance(waits[-1] - 1)
        assert await due(book) == []
        book.clock.advance(1)
        assert await due(book) == [waiting.id]
        assert await due(book, "bots-2") == []
        await refuse(book, waiting)
    assert waits[:4] == [15, 30, 60, 120]
    assert waits[-1] == LONGEST_WAIT.total_seconds()


async def test_every_attempt_has_a_number_of_its_own(book: JobBook, waiting: Job) -> None:
    """D10: one that was thought dead cannot end the job after the next one began."""
    async with book.database.begin() as session:
        first = await postponed.take(session, waiting.id)
    async with book.database.begin() as session:
        second = await postponed.take(session, waiting.id)
    assert first is not None
    assert second is not None
    assert (first[0].fence, second[0].fence) == (waiting.fence + 1, waiting.fence + 2)


async def test_a_second_postponement_does_not_start_the_time_anew(
    book: JobBook, waiting: Job
) -> None:
    before = await row_of(book, waiting)
    book.clock.advance(3600)
    await put_off(book, waiting, waiting.fence)
    after = await row_of(book, waiting)
    assert before is not None
    assert after is not None
    assert (after.since, after.until) == (before.since, before.until)


async def test_after_the_retention_time_the_job_fails_once(book: JobBook, waiting: Job) -> None:
    """MF-16: failed, not billed, and the message says where the recording is."""
    await refuse(book, waiting, "The bucket answered 503.")
    book.clock.advance(DAY - 1)
    assert await ended(book) == []
    book.clock.advance(1)
    assert await ended(book) == [waiting.id]
    assert await ended(book) == []
    job = await book.read(waiting)
    assert (job.status, job.failure_code) == (Status.FAILED, FailureCode.INTERNAL_ERROR)
    assert job.failure_detail is not None
    for part in ("24 h", "The bucket answered 503.", "bots-1"):
        assert part in job.failure_detail
    assert job.billed is False
    assert job.exit_reason is ExitReason.LEAVE_REQUESTED
    assert await row_of(book, waiting) is None
    async with book.database.begin() as session:
        events = (await session.exec(select(UsageEvent))).all()
    assert len(events) == 1


async def test_who_still_tries_when_it_is_given_up_cannot_end_the_job(
    book: JobBook, waiting: Job
) -> None:
    async with book.database.begin() as session:
        taken = await postponed.take(session, waiting.id)
    assert taken is not None
    book.clock.advance(DAY + 1)
    await ended(book)
    assert (await book.read(waiting)).fence > taken[0].fence


async def test_an_attempt_that_could_not_go_back_into_its_meeting_has_left_it(
    book: JobBook,
) -> None:
    """Storage was away when a new machine wanted the journal of a crashed bot."""
    job = await book.add()
    fence = await book.bring_to(job, Status.RECORDING)
    await put_off(book, job, fence)
    assert (await book.read(job)).status is Status.FINALIZING


async def ended(book: JobBook) -> list[str]:
    async with book.database.begin() as session:
        return list(await postponed.give_up(session, now=book.now, limit=10))


def test_a_machine_has_many_attempts_before_it_gives_up() -> None:
    assert timedelta(days=1) / LONGEST_WAIT > 200
