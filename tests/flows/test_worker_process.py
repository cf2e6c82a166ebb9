"""A worker that is told to stop, from the side of its jobs (D1, D11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlmodel import select

from core.database import Database
from core.dispatch.workers import WorkerSeen, seen_since
from core.jobs import service
from core.jobs.lifecycle import Status
from core.jobs.models import JobCommand
from core.jobs.verbs import Verb
from core.secrets import SecretBox
from core.settings import Settings, StorageSettings, WorkerSettings
from flows.resources import Resources, open_resources
from flows.worker_process import _leave, _say_here
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


@pytest.fixture
async def resources(database_url: SecretStr, encryption_key: SecretStr) -> AsyncIterator[Resources]:
    settings = Settings(
        database_url=database_url,
        encryption_keys=(encryption_key,),
        storage=StorageSettings(link_secret=SecretStr("links")),
        worker=WorkerSettings(name="bots-1", cpu_budget=96),
    )
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture
async def book(database: Database, box: SecretBox, clock: ManualClock) -> JobBook:
    return await JobBook.open(database, box, clock)


async def commands(book: JobBook) -> list[Verb]:
    async with book.database.begin() as session:
        return [command.verb for command in (await session.exec(select(JobCommand))).all()]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.JOINING, Status.ENTERING_LOBBY])
async def test_a_job_that_waits_or_knocks_is_not_ended_by_its_machine(
    resources: Resources, book: JobBook, status: Status
) -> None:
    """Asked to leave, it would become `cancelled`; another worker takes it instead."""
    job = await book.add()
    await book.bring_to(job, status)
    assert await _leave(resources, job.id) is False
    assert (await book.read(job)).status is status
    assert await commands(book) == []


async def test_a_recording_bot_is_asked_to_leave(resources: Resources, book: JobBook) -> None:
    job = await book.add()
    await book.bring_to(job, Status.RECORDING)
    assert await _leave(resources, job.id) is True
    assert await commands(book) == [Verb.LEAVE]


async def test_one_that_delivers_is_let_finish(resources: Resources, book: JobBook) -> None:
    job = await book.add()
    await book.bring_to(job, Status.FINALIZING)
    assert await _leave(resources, job.id) is True
    assert await commands(book) == []


async def test_one_that_was_cancelled_already_ends_by_itself(
    resources: Resources, book: JobBook
) -> None:
    job = await book.add()
    await book.bring_to(job, Status.ENTERING_LOBBY)
    async with book.database.begin() as session:
        await service.request_cancel(session, job.id, now=book.now)
    assert await _leave(resources, job.id) is True


async def test_a_worker_says_that_it_is_there_and_that_it_takes_no_more(
    resources: Resources, book: JobBook
) -> None:
    async def seen() -> list[WorkerSeen]:
        async with book.database.begin() as session:
            since = resources.clock.now() - timedelta(minutes=1)
            return list(await seen_since(session, since))

    await _say_here(resources, resources.settings.worker.cpu_seconds_a_minute)
    assert [(worker.name, worker.cpu_budget) for worker in await seen()] == [("bots-1", 96)]
    await _say_here(resources, 0)
    assert [worker.cpu_budget for worker in await seen()] == [0]
