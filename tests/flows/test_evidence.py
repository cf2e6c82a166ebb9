"""Evidence of screens: in the job's storage, named by the job, and never in its way (D9, MF-22)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from bot.evidence import evidence_folder
from core.database import Database
from core.erasure.service import request_erasure
from core.errors import HostDenied, StorageError
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.postponed import PostponedUpload
from core.recordings.journal import JOURNAL_NAME
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.base import StoredObject
from core.storage.local import LocalStorage
from flows import evidence, uploads
from flows.live_view import LiveView
from flows.resources import Resources
from flows.resume_uploads import give_up
from flows.run import MeetingRun
from tests.bot.recording.writing import JOB, write_attempt
from tests.flows.test_run import NoPost
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

FILES = {
    "join-1-1.html": b"<p>No.</p>",
    "join-1-1.png": b"\x89PNG",
    "join-1-1.url.txt": b"https://meet.example/\n",
}


class Bucket(LocalStorage):
    """A folder that can be away."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, files_url="http://files", link_secret=SecretStr("s"))
        self.away = False
        self.asked: list[str] = []

    def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        self.asked.append(key)
        if self.away:
            raise StorageError("The bucket could not be reached.")
        return super().put_bytes(key, data, content_type)

    @contextmanager
    def closed(self) -> Iterator[None]:
        self.away = True
        yield
        self.away = False


@dataclass
class Machine:
    """A worker's machine at the end of a job whose page showed something."""

    book: JobBook
    resources: Resources
    bucket: Bucket

    async def job(self, status: Status, *, files: Iterable[str] = FILES) -> Job:
        job = await self.book.add()
        await self.book.bring_to(job, status)
        folder = evidence_folder(self.work_dir(job))
        folder.mkdir(parents=True)
        for name in files:
            (folder / name).write_bytes(FILES[name])
        self.book.clock.advance(60)
        return job

    def work_dir(self, job: Job) -> Path:
        return self.resources.settings.work_dir / job.id

    async def refused(self, job: Job) -> MeetingRun:
        """The run of a job whose bot was not let in, to its end."""
        alone = replace(self.resources, clock=ManualClock(self.book.clock.now()))
        async with MeetingRun(alone, job.id, "process-1") as run:
            await run.dispatch()
            run.outcome.fail(HostDenied("The host said no."))
            await run.meter()
        return run

    async def row(self, job: Job) -> PostponedUpload | None:
        async with self.book.database.begin() as session:
            return await session.get(PostponedUpload, job.id)

    async def next_attempt(self, job: Job) -> int:
        row = await self.row(job)
        assert row is not None
        self.book.clock.advance((row.next_attempt_at - self.book.now).total_seconds())
        return await uploads.take_on(self.resources, row.machine)

    def kept(self, job: Job) -> dict[str, bytes]:
        prefix = f"recordings/{job.id}/evidence/"
        return {
            one.key.removeprefix(prefix): self.bucket.get_bytes(one.key)
            for one in self.bucket.list(prefix)
        }


@pytest.fixture
async def machine(
    tmp_path: Path,
    database: Database,
    box: SecretBox,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Machine:
    # The bot itself is elsewhere tested; here it is at the door already.
    async def no_bot(self: MeetingRun) -> None:
        """Start nothing."""

    monkeypatch.setattr(MeetingRun, "_start_bot", no_bot)
    book = await JobBook.open(database, box, clock)
    bucket = Bucket(tmp_path / "bucket")
    resources = Resources(
        settings=Settings(data_dir=tmp_path),
        clock=clock,
        database=database,
        box=box,
        storage=bucket,
        courier=cast("Any", NoPost()),
    )
    return Machine(book, resources, bucket)


async def test_what_kept_the_bot_out_is_in_storage_before_the_job_is_failed(
    machine: Machine,
) -> None:
    job = await machine.job(Status.JOINING)
    run = await machine.refused(job)
    ended = await machine.book.read(job)
    assert (ended.status, ended.failure_detail) == (Status.FAILED, "The host said no.")
    assert machine.kept(job) == FILES
    assert ended.evidence is not None
    assert {one["name"]: one["uri"] for one in ended.evidence} == {
        name: f"s3://local/recordings/{job.id}/evidence/{name}" for name in FILES
    }
    assert not machine.work_dir(job).exists(), "nothing is left on the machine"
    page = LiveView(machine.resources, run)._page()
    assert all(one["uri"] in page for one in ended.evidence), "linked from the run"
    assert f"/api/v1/jobs/{job.id}/evidence" in page


async def test_a_job_without_evidence_asks_storage_for_nothing(machine: Machine) -> None:
    job = await machine.job(Status.JOINING, files=())
    await machine.refused(job)
    ended = await machine.book.read(job)
    assert (ended.status, ended.evidence) == (Status.FAILED, None)
    assert machine.bucket.asked == []


async def test_storage_that_is_away_gets_it_later_and_the_job_does_not_wait(
    machine: Machine,
) -> None:
    """As recordings are: the machine that has the files goes on (D9)."""
    job = await machine.job(Status.ENTERING_LOBBY)
    with machine.bucket.closed():
        await machine.refused(job)
        ended = await machine.book.read(job)
        assert (ended.status, ended.failure_detail) == (Status.FAILED, "The host said no.")
        assert ended.evidence is None
        assert await machine.next_attempt(job) == 0
    assert await machine.next_attempt(job) == 1
    assert machine.kept(job) == FILES
    later = await machine.book.read(job)
    assert (later.status, later.fence) == (Status.FAILED, ended.fence)
    assert [one["name"] for one in later.evidence or ()] == sorted(FILES)
    assert await machine.row(job) is None
    assert not machine.work_dir(job).exists()


async def test_it_does_not_wait_for_ever(machine: Machine) -> None:
    job = await machine.job(Status.JOINING)
    with machine.bucket.closed():
        await machine.refused(job)
    machine.book.clock.advance(timedelta(days=2).total_seconds())
    assert await give_up(machine.resources) == 1
    ended = await machine.book.read(job)
    assert (ended.status, ended.failure_detail) == (Status.FAILED, "The host said no.")
    assert await machine.row(job) is None


async def test_evidence_of_an_erased_job_does_not_come_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MF-22: also when it was just on its way to the bucket."""
    job = await machine.job(Status.JOINING)
    with machine.bucket.closed():
        await machine.refused(job)
    send = evidence.send

    async def sent_then_erased(*args: Any) -> Any:
        files = await send(*args)
        async with machine.book.database.begin() as session:
            await request_erasure(session, job.id, by="key_1", now=machine.book.now)
        return files

    monkeypatch.setattr(evidence, "send", sent_then_erased)
    await machine.next_attempt(job)
    assert machine.kept(job) == {}
    assert (await machine.book.read(job)).evidence is None


@pytest.mark.media
async def test_the_manifest_lists_what_threw_the_bot_out(machine: Machine) -> None:
    job = await machine.job(Status.FINALIZING)
    write_attempt(machine.work_dir(job), seconds=2)
    journal = machine.work_dir(job) / "1" / JOURNAL_NAME
    journal.write_text(journal.read_text().replace(JOB, job.id))
    alone = replace(machine.resources, clock=ManualClock(machine.book.clock.now()))
    async with MeetingRun(alone, job.id, "process-2") as run:
        await run.dispatch()
        for stage in (run.join, run.capture, run.finalize, run.upload, run.transcribe, run.meter):
            await stage()
    manifest = json.loads(machine.bucket.get_bytes(f"recordings/{job.id}/manifest.json"))
    ended = await machine.book.read(job)
    assert manifest["evidence"] == ended.evidence
    assert [one["name"] for one in manifest["evidence"]] == sorted(FILES)
    assert machine.kept(job) == FILES
    assert not machine.work_dir(job).exists()
