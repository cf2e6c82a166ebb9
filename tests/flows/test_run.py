"""Attempts that die after the meeting: one bill and one last word all the same (D10, BL-02)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing.models import UsageEvent
from core.clock import Clock, SystemClock
from core.database import Database
from core.errors import StaleAttempt, Unavailable
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.recordings.journal import JOURNAL_NAME
from core.recordings.manifest import MANIFEST_NAME
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.local import LocalStorage
from core.webhooks.events import EventName
from core.webhooks.models import Delivery
from flows import patience
from flows.resources import Resources
from flows.run import MeetingRun
from tests.bot.recording.writing import JOB, write_attempt
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = [pytest.mark.integration, pytest.mark.media]

SECONDS = 4
STAGES = ("finalize", "upload", "transcribe", "meter")


class NoPost:
    """Webhooks stay in their rows here."""

    async def deliver_job(self, job_id: str) -> None:
        """Send nothing."""


@dataclass
class Machine:
    """Where attempts run, one after another, on a job whose meeting is over."""

    book: JobBook
    resources: Resources
    job: Job
    exits: AsyncExitStack
    attempts: int = 0

    @property
    def bucket(self) -> set[str]:
        found = self.resources.storage.list(f"recordings/{self.job.id}/")
        return {entry.key.rpartition("/")[2] for entry in found}

    async def attempt(self, clock: Clock | None = None) -> MeetingRun:
        """The next process, once the lease of the one before has run out."""
        self.book.clock.advance(60)
        self.attempts += 1
        # Time stands still in a process that dies: it renews nothing.
        alone = replace(self.resources, clock=clock or ManualClock(self.book.clock.now()))
        run = MeetingRun(alone, self.job.id, f"process-{self.attempts}")
        await self.exits.enter_async_context(run)
        await run.dispatch()
        await run.join()
        await run.capture()
        return run

    async def usage(self) -> Sequence[UsageEvent]:
        async with self.book.database.begin() as session:
            mine = select(UsageEvent).where(col(UsageEvent.job_id) == self.job.id)
            return (await session.exec(mine)).all()

    async def last_words(self) -> list[str]:
        async with self.book.database.begin() as session:
            mine = select(Delivery).where(col(Delivery.job_id) == self.job.id)
            told = [delivery.event for delivery in (await session.exec(mine)).all()]
        return [event for event in told if event in (EventName.FINALIZED, EventName.FAILED)]


@pytest.fixture
async def machine(tmp_path: Path, database: Database, box: SecretBox, clock: ManualClock) -> Any:
    book = await JobBook.open(database, box, clock)
    job = await book.add()
    await book.bring_to(job, Status.FINALIZING)
    bucket = LocalStorage(tmp_path / "bucket", files_url="http://f", link_secret=SecretStr("s"))
    resources = Resources(
        settings=Settings(data_dir=tmp_path),
        clock=clock,
        database=database,
        box=box,
        storage=bucket,
        courier=cast("Any", NoPost()),
    )
    work_dir = resources.settings.work_dir / job.id
    write_attempt(work_dir, seconds=SECONDS)
    journal = work_dir / "1" / JOURNAL_NAME
    journal.write_text(journal.read_text().replace(JOB, job.id))
    async with AsyncExitStack() as exits:
        yield Machine(book, resources, job, exits)


async def go(run: MeetingRun, *stages: str) -> None:
    for stage in stages:
        await getattr(run, stage)()


@pytest.mark.parametrize("done", range(len(STAGES) + 1), ids=("nothing", *STAGES))
async def test_wherever_a_process_dies_the_next_one_ends_the_job_once(
    machine: Machine, done: int
) -> None:
    """Delivered, billed and told once, also when everything was delivered and deleted before."""
    await go(await machine.attempt(), *STAGES[:done])
    second = await machine.attempt()
    if not second.over:
        await go(second, *STAGES)
    third = await machine.attempt()
    assert third.over
    ended = await machine.book.read(machine.job)
    assert (ended.status, ended.exit_reason) == (Status.COMPLETED, ExitReason.CALL_ENDED)
    assert ended.duration_seconds == SECONDS
    assert ended.manifest_uri is not None
    assert ended.manifest_uri.endswith(f"{machine.job.id}/{MANIFEST_NAME}")
    (usage,) = await machine.usage()
    assert usage.seconds == SECONDS
    assert await machine.last_words() == [EventName.FINALIZED]
    assert MANIFEST_NAME in machine.bucket
    assert len([name for name in machine.bucket if name.endswith(".ogg")]) == 2
    assert not (machine.resources.settings.work_dir / machine.job.id / "final").exists()


@pytest.mark.parametrize("stage", ["attempt", "finalize", "upload", "transcribe"])
async def test_a_database_that_is_away_for_a_while_fails_no_job(
    machine: Machine, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks then asks again; the recording is there and can wait."""
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.01)
    database, refusals = machine.resources.database, iter(range(3))
    usual = database.begin

    @asynccontextmanager
    async def begin() -> AsyncIterator[AsyncSession]:
        if next(refusals, None) is not None:
            raise Unavailable("The database did not answer.")
        async with usual() as session:
            yield session

    if stage == "attempt":
        monkeypatch.setattr(database, "begin", begin)
    run = await machine.attempt(SystemClock())
    for name in STAGES:
        if name == stage:
            monkeypatch.setattr(database, "begin", begin)
        await go(run, name)
    assert next(refusals, None) is None
    ended = await machine.book.read(machine.job)
    assert (ended.status, ended.exit_reason) == (Status.COMPLETED, ExitReason.CALL_ENDED)
    assert len(await machine.usage()) == 1


async def test_patience_with_the_database_has_an_end() -> None:
    clock = ManualClock()

    async def away() -> None:
        clock.advance(10)
        raise Unavailable("The database did not answer.")

    asking = asyncio.ensure_future(patience.answered(clock, away, seconds=25))
    while not asking.done():
        clock.advance(patience.PAUSE_SECONDS)
        await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await asking
    assert clock.monotonic() >= 25


@pytest.mark.parametrize("stage", ["upload", "transcribe", "meter"])
async def test_an_outdated_process_delivers_and_settles_nothing(
    machine: Machine, stage: str
) -> None:
    """It was frozen after the meeting; its successor has the job (D10)."""
    frozen = await machine.attempt()
    await frozen.finalize()
    await machine.attempt()
    with pytest.raises(StaleAttempt):
        await getattr(frozen, stage)()
    assert machine.bucket == set()
    assert await machine.usage() == []
    assert (await machine.book.read(machine.job)).status is Status.FINALIZING
