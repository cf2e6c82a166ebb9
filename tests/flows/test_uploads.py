"""Storage that is away when a meeting ends: nothing is lost, and everything follows once (D9)."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlmodel import col, select

from bot.recording.bundles import BundleUploader
from core.billing.models import UsageEvent
from core.clock import SystemClock
from core.database import Database
from core.dispatch import workers
from core.errors import RemovedFromMeeting, StorageError
from core.jobs import creation, postponed
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.postponed import PostponedUpload
from core.secrets import SecretBox
from core.settings import Settings, StorageSettings, WorkerSettings
from core.storage import s3
from core.storage.s3 import Bucket, S3Storage
from core.webhooks.delivery import Courier
from core.webhooks.sending import Sender
from flows import delivery, uploads
from flows.outcome import Outcome
from flows.resources import Resources
from flows.resume_uploads import give_up, plan
from tests.bot.recording.writing import JOB, write_attempt
from tests.support.clock import ManualClock
from tests.support.gate import Gate
from tests.support.jobs import JobBook
from tests.support.receiver import Receiver, running_receiver
from tests.support.s3_server import S3Server, running_s3_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

HERE, ELSEWHERE = "bots-1", "bots-2"


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server


@dataclass
class Machine:
    """One worker's machine after a meeting: journal on disk, storage behind a gate."""

    resources: Resources
    book: JobBook
    gate: Gate
    bucket: S3Storage
    receiver: Receiver
    job: Job
    fence: int

    @property
    def work_dir(self) -> Path:
        return self.resources.settings.work_dir / JOB

    async def postpone(self, **ending: Any) -> None:
        """What the meeting's run does when storage refuses."""
        outcome = Outcome(**({"exit_reason": ExitReason.LEAVE_REQUESTED} | ending))
        error = StorageError("The bucket could not be reached.")
        await uploads.postpone(self.resources, JOB, self.fence, outcome, error)

    async def next_attempt(self) -> int:
        """Let time pass until one is due, and make it."""
        row = await self.row()
        assert row is not None
        self.book.clock.advance((row.next_attempt_at - self.book.now).total_seconds())
        return await uploads.take_on(self.resources, row.machine)

    async def row(self) -> PostponedUpload | None:
        async with self.book.database.begin() as session:
            return await session.get(PostponedUpload, JOB)

    async def usage(self) -> Sequence[UsageEvent]:
        async with self.book.database.begin() as session:
            return (await session.exec(select(UsageEvent).order_by(col(UsageEvent.id)))).all()

    async def manifest(self) -> dict[str, Any]:
        data = await asyncio.to_thread(self.bucket.get_bytes, f"recordings/{JOB}/manifest.json")
        found: dict[str, Any] = json.loads(data)
        return found

    def endings(self) -> list[str]:
        """The last webhooks that the customer got."""
        return [name for name in self.receiver.events if name != "job.status_changed"]


@pytest.fixture
async def machine(
    database: Database,
    box: SecretBox,
    clock: ManualClock,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Machine]:
    monkeypatch.setattr(creation, "new_id", lambda *_: JOB)
    bucket = s3_server.bucket(f"outage-{tmp_path.name.replace('_', '-')}"[:60].strip("-"))
    gate = Gate(s3_server.endpoint)
    gate.start()
    try:
        async with running_receiver() as receiver:
            sender = Sender(timeout_seconds=5, trusted_origins=(receiver.origin,), clock=clock)
            settings = Settings(data_dir=tmp_path, worker=WorkerSettings(name=HERE))
            book = await JobBook.open(database, box, clock)
            job = await book.add(webhooks={"onFinalize": receiver.url, "version": 2})
            fence = await book.bring_to(job, Status.FINALIZING)
            async with sender:
                resources = Resources(
                    settings=settings,
                    clock=clock,
                    database=database,
                    box=box,
                    storage=S3Storage(replace(bucket, endpoint=gate.origin)),
                    courier=Courier(database, sender, box, settings.webhooks, clock),
                )
                write_attempt(settings.work_dir / JOB, seconds=3)
                yield Machine(resources, book, gate, S3Storage(bucket), receiver, job, fence)
    finally:
        gate.stop()


async def test_an_outage_is_waited_out_and_everything_follows_once(machine: Machine) -> None:
    """MF-16, MF-20, BL-02: manifest, terminal status, usage and webhooks, each exactly once."""
    with machine.gate.closed():
        await machine.postpone()
        for _ in range(3):
            assert await machine.next_attempt() == 0
        assert (await machine.book.read(machine.job)).status is Status.FINALIZING
        assert machine.work_dir.is_dir()
        assert machine.endings() == []
    assert await machine.next_attempt() == 1
    job = await machine.book.read(machine.job)
    assert (job.status, job.exit_reason) == (Status.COMPLETED, ExitReason.LEAVE_REQUESTED)
    assert job.duration_seconds == 3
    manifest = await machine.manifest()
    assert [track["kind"] for track in manifest["tracks"]] == ["per-speaker"] * 2
    assert manifest["durationSeconds"] == 3
    assert machine.endings() == ["job.finalized"]
    assert len(await machine.usage()) == 1
    assert not machine.work_dir.exists()
    assert await machine.row() is None
    assert await uploads.take_on(machine.resources, HERE) == 0
    assert await uploads.attempt(machine.resources, JOB) is False
    assert machine.endings() == ["job.finalized"]


@pytest.mark.parametrize("trouble", ["answers 500", "answers nothing", "refuses the key"])
async def test_storage_in_any_trouble_is_tried_again(
    machine: Machine, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answering errors, slow, or with credentials that somebody has to put right first."""
    monkeypatch.setattr(s3, "READ_SECONDS", 0.5)
    async with running_receiver() as broken:
        status = 403 if trouble == "refuses the key" else 500
        broken.statuses = [status] * 1000
        broken.silent = trouble == "answers nothing"
        away = S3Storage(
            Bucket(
                name="b",
                endpoint=broken.origin,
                access_key_id=SecretStr("k"),
                secret_access_key=SecretStr("s"),
                force_path_style=True,
            )
        )
        await machine.postpone()
        well = machine.resources
        machine.resources = replace(well, storage=away)
        assert await machine.next_attempt() == 0
        assert broken.received
    row = await machine.row()
    assert row is not None
    assert row.attempts == 1
    assert row.last_error
    assert machine.work_dir.is_dir()
    machine.resources = well
    assert await machine.next_attempt() == 1
    assert machine.endings() == ["job.finalized"]


async def test_a_meeting_that_failed_still_says_why(machine: Machine) -> None:
    """LC-17: what the meeting's process knew is not lost with it."""
    removed = RemovedFromMeeting("The host removed the bot.", "kicked-by-host")
    await machine.postpone(exit_reason=ExitReason.KICKED, failure=removed)
    assert await machine.next_attempt() == 1
    job = await machine.book.read(machine.job)
    assert (job.status, job.failure_code) == (Status.FAILED, FailureCode.REMOVED_FROM_MEETING)
    assert (job.failure_detail, job.adapter_error) == (
        "The host removed the bot.",
        "kicked-by-host",
    )
    assert (await machine.manifest())["failureCode"] == "removed_from_meeting"
    assert machine.endings() == ["job.failed"]


async def test_a_cancelled_meeting_stays_cancelled(machine: Machine) -> None:
    """LC-13."""
    await machine.postpone(exit_reason=ExitReason.CANCELLED, cancelled=True)
    assert await machine.next_attempt() == 1
    assert (await machine.book.read(machine.job)).status is Status.CANCELLED


async def test_an_attempt_that_died_after_the_end_only_clears_up(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the job's end and the removal of the files: nothing is told twice."""

    async def killed(*_: object) -> None:
        raise asyncio.CancelledError

    await machine.postpone()
    with monkeypatch.context() as patched:
        patched.setattr(delivery, "discard", killed)
        with pytest.raises(asyncio.CancelledError):
            await machine.next_attempt()
    assert (await machine.book.read(machine.job)).status is Status.COMPLETED
    assert machine.work_dir.is_dir()
    assert await uploads.take_on(machine.resources, HERE) == 1
    assert not machine.work_dir.exists()
    assert await machine.row() is None
    assert machine.endings() == ["job.finalized"]
    assert len(await machine.usage()) == 1


async def test_a_bucket_that_forbids_deletes_completes_the_job(
    machine: Machine, s3_server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    """MF-11, MF-20: everything was delivered; nothing of it waits for a right that may not come."""
    await machine.postpone()
    journal = f"recordings/{JOB}/.journal/1/00000001.bundle"
    await asyncio.to_thread(machine.bucket.put_bytes, journal, b"old", "application/octet-stream")
    bucket = machine.bucket.uri(journal).split("/")[2]
    await asyncio.to_thread(s3_server.forbid_deletes, bucket)
    assert await machine.next_attempt() == 1
    assert (await machine.book.read(machine.job)).status is Status.COMPLETED
    assert machine.endings() == ["job.finalized"]
    assert await machine.row() is None
    assert not machine.work_dir.exists()
    assert (await asyncio.to_thread(machine.bucket.head, journal)).size == 3
    assert f"recordings/{JOB}/.journal/ could not be deleted" in caplog.text


async def test_what_is_given_up_fails_and_is_kept(machine: Machine) -> None:
    """MF-16: after the retention time; the customer is told, the files stay."""
    await machine.postpone()
    machine.book.clock.advance(machine.resources.settings.storage.keep_seconds + 1)
    assert await give_up(machine.resources) == 1
    job = await machine.book.read(machine.job)
    assert (job.status, job.failure_code) == (Status.FAILED, FailureCode.INTERNAL_ERROR)
    assert machine.endings() == ["job.failed"]
    assert machine.work_dir.is_dir()
    assert await uploads.take_on(machine.resources, HERE) == 0


async def test_recordings_go_to_the_machine_that_has_them(machine: Machine) -> None:
    """Others restore what was sent only when that machine has been away for long."""
    await machine.postpone()
    clock, resources = machine.book.clock, machine.resources
    clock.advance(30)
    assert await plan(resources) == {HERE: "housekeeping"}
    async with machine.book.database.begin() as session:
        await workers.report(session, HERE, 96, now=clock.now())
    assert await plan(resources) == {HERE: f"machine-{HERE}"}
    # Perhaps it only restarts.
    clock.advance(resources.settings.worker.lost_seconds - 1)
    assert await plan(resources) == {}
    clock.advance(2)
    assert await plan(resources) == {HERE: "housekeeping"}


async def test_another_machine_delivers_what_was_sent(machine: Machine, tmp_path: Path) -> None:
    """D8: from the bundles, when the one that recorded is gone with its disk."""
    async with BundleUploader(machine.work_dir, 1, machine.bucket, 3, SystemClock()):
        pass
    await machine.postpone()
    await asyncio.to_thread(shutil.rmtree, machine.work_dir)
    settings = machine.resources.settings
    machine.resources = replace(
        machine.resources,
        settings=settings.model_copy(
            update={"data_dir": tmp_path / "other", "worker": WorkerSettings(name=ELSEWHERE)}
        ),
    )
    assert await machine.next_attempt() == 1
    assert (await machine.manifest())["durationSeconds"] == 3
    left = await asyncio.to_thread(
        lambda: [one.key for one in machine.bucket.list(f"recordings/{JOB}/.journal/")]
    )
    assert left == []


async def test_a_recording_that_is_nowhere_ends_its_job(machine: Machine) -> None:
    """AR-12: the disk is gone and nothing had been sent."""
    await machine.postpone()
    await asyncio.to_thread(shutil.rmtree, machine.work_dir)
    assert await machine.next_attempt() == 1
    job = await machine.book.read(machine.job)
    assert (job.status, job.failure_code) == (Status.FAILED, FailureCode.INTERNAL_ERROR)
    assert HERE in (job.failure_detail or "")
    assert machine.endings() == ["job.failed"]


async def test_one_that_cannot_be_delivered_keeps_none_of_the_others_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, for example: noted, and tried again."""

    async def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    await machine.postpone()
    with monkeypatch.context() as patched:
        patched.setattr(delivery, "finalize", full)
        assert await machine.next_attempt() == 0
    row = await machine.row()
    assert row is not None
    assert (row.attempts, "No space left" in row.last_error) == (1, True)
    assert await machine.next_attempt() == 1


def test_settings_keep_a_day_by_default() -> None:
    """MF-16."""
    assert StorageSettings().keep_seconds == 24 * 3600
    assert postponed.holder_of(HERE) == f"uploads@{HERE}"
