"""Attempts are numbered; one of them holds the job (design.md D10)."""

from __future__ import annotations

import pytest

from core.database import Database
from core.errors import InvalidState, StaleAttempt
from core.jobs import leases, service
from core.jobs.lifecycle import Status
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


async def test_attempts_are_numbered_from_one(book: JobBook) -> None:
    job = await book.add()
    assert await book.take(job) == 1
    assert await book.take(job) == 2


async def test_another_run_has_to_wait_until_the_lease_has_run_out(book: JobBook) -> None:
    job = await book.add()
    await book.take(job, "run-1")
    with pytest.raises(InvalidState, match="run-1"):
        await book.take(job, "run-2")
    book.clock.advance(10)
    assert await book.take(job, "run-2") == 2


async def test_a_released_job_can_be_taken_at_once(book: JobBook, database: Database) -> None:
    job = await book.add()
    fence = await book.take(job, "run-1")
    async with database.begin() as session:
        await leases.release_lease(session, job.id, fence)
    assert await book.take(job, "run-2") == 2


async def test_a_late_renewal_with_the_current_number_succeeds(
    book: JobBook, database: Database
) -> None:
    job = await book.add()
    fence = await book.take(job, "run-1")
    book.clock.advance(60)
    async with database.begin() as session:
        await leases.renew_lease(session, job.id, fence, seconds=10, now=book.now)
    with pytest.raises(InvalidState):
        await book.take(job, "run-2")


async def test_an_outdated_number_cannot_renew(book: JobBook, database: Database) -> None:
    job = await book.add()
    fence = await book.take(job)
    await book.take(job)
    with pytest.raises(StaleAttempt):
        async with database.begin() as session:
            await leases.renew_lease(session, job.id, fence, seconds=10, now=book.now)


async def test_a_job_that_is_over_cannot_be_taken(book: JobBook, database: Database) -> None:
    job = await book.add()
    async with database.begin() as session:
        await service.request_cancel(session, job.id, now=book.now)
    with pytest.raises(InvalidState, match=Status.CANCELLED):
        await book.take(job)
