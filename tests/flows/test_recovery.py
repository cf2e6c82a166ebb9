"""What the next attempt makes of what earlier ones left, also on another machine (D8, D10)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from bot.recording.bundles import BundleUploader
from bot.recording.finalize import finalize
from bot.recording.journal import write_ending
from bot.returning import Past
from core.clock import SystemClock, from_epoch_ms
from core.database import Database
from core.errors import StorageError
from core.jobs import commands
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import IN_CALL, RecordingState, Status
from core.jobs.models import Job
from core.jobs.verbs import Verb
from core.recordings.journal import Open
from core.recordings.manifest import MANIFEST_NAME, ManifestFacts, build_manifest
from core.secrets import SecretBox
from core.storage.base import StoredObject
from core.storage.local import LocalStorage
from flows.delivery import prefix
from flows.outcome import Outcome
from flows.recovery import LAST_ATTEMPT_IN_CALL, Left, Plan, delivered, look_back, plan
from flows.resources import Resources
from tests.bot.recording.writing import JOB, T0, write_attempt
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook

GO_BACK = Plan(goes_back=True)
DELIVER = Plan(goes_back=False)


def job(status: Status = Status.RECORDING, *, cancelled: bool = False, fence: int = 2) -> Job:
    """The columns of a job on which the plan depends."""
    asked_at = SystemClock().now() if cancelled else None
    columns: dict[str, Any] = {
        "id": JOB,
        "status": status,
        "fence": fence,
        "cancel_requested_at": asked_at,
    }
    # Rows are not validated; these are all that is read.
    return Job(**columns)


def left(closed: ExitReason | None = None, asked: Iterable[Verb] = ()) -> Left:
    return Left(Past(), closed, frozenset(asked))


@pytest.mark.unit
@pytest.mark.parametrize(
    ("row", "found", "wanted"),
    [
        (job(), left(), GO_BACK),
        (job(Status.IN_MEETING), left(), GO_BACK),
        (job(), left(asked={Verb.CHAT, Verb.PAUSE}), GO_BACK),
        (job(fence=LAST_ATTEMPT_IN_CALL), left(), GO_BACK),
        (job(fence=LAST_ATTEMPT_IN_CALL + 1), left(), DELIVER),
        (job(Status.FINALIZING), left(), DELIVER),
        (job(), left(ExitReason.CALL_ENDED), DELIVER),
        (job(), left(ExitReason.KICKED, {Verb.LEAVE}), DELIVER),
        (job(), left(asked={Verb.LEAVE}), Plan(False, ExitReason.LEAVE_REQUESTED)),
        (job(), left(asked={Verb.LEAVE, Verb.CANCEL}), Plan(False, ExitReason.CANCELLED)),
        (job(cancelled=True), left(), Plan(False, ExitReason.CANCELLED)),
        (job(Status.FINALIZING, cancelled=True), left(), Plan(False, ExitReason.CANCELLED)),
    ],
)
def test_only_a_bot_that_nobody_wanted_out_goes_back(row: Job, found: Left, wanted: Plan) -> None:
    """D10, LC-13, LC-14."""
    assert plan(row, found) == wanted
    assert not wanted.goes_back or row.status in IN_CALL


class Bucket(LocalStorage):
    """Local storage that is away while `away` is set."""

    away = False

    def list(self, prefix: str) -> Any:
        if self.away:
            raise StorageError("The storage does not answer.")
        return super().list(prefix)

    def put(self, key: str, data: bytes) -> StoredObject:
        return self.put_bytes(key, data, "application/json")


class _Resources:
    def __init__(self, database: Database, storage: Bucket) -> None:
        self.database = database
        self.storage = storage


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path / "bucket", files_url="http://files", link_secret=SecretStr("s"))


@pytest.fixture
async def live(database: Database, box: SecretBox, clock: ManualClock) -> Job:
    """A job in its meeting, at its second attempt."""
    book = await JobBook.open(database, box, clock)
    made = await book.add()
    await book.bring_to(made, Status.RECORDING)
    await book.take(made)
    return await book.read(made)


@pytest.mark.integration
async def test_another_machine_finds_everything_in_storage(
    tmp_path: Path, bucket: Bucket, database: Database, live: Job
) -> None:
    """D8: the work folder is gone; people, times and what was asked come back."""
    work_dir = tmp_path / "work" / live.id
    write_attempt(work_dir, seconds=4, closed=False)
    async with BundleUploader(work_dir, 1, bucket, 60, SystemClock()):
        pass
    shutil.rmtree(work_dir)
    async with database.begin() as session:
        await commands.issue(session, live.id, Verb.PAUSE, now=live.updated_at)
    found = await look_back(cast("Resources", _Resources(database, bucket)), bucket, live, work_dir)
    names = [person.display_name for person in found.past.participants]
    assert names == ["Notes", "Person 0", "Person 1"]
    assert [person.is_bot for person in found.past.participants] == [True, False, False]
    assert found.past.began_at == from_epoch_ms(T0)
    assert found.past.recorded_seconds == pytest.approx(4, abs=0.1)
    assert found.closed is None
    assert found.asked == {Verb.PAUSE}
    assert plan(live, found) == GO_BACK
    assert len(finalize(work_dir).media) == 2


@pytest.mark.integration
async def test_an_attempt_of_this_machine_is_never_replaced_by_its_older_copy(
    tmp_path: Path, bucket: Bucket, database: Database, live: Job
) -> None:
    work_dir = tmp_path / "work" / live.id
    write_attempt(work_dir, seconds=2, closed=False)
    await BundleUploader(work_dir, 1, bucket, 60, SystemClock()).ship()
    shutil.rmtree(work_dir)
    write_attempt(work_dir, seconds=5, closed=False)
    found = await look_back(cast("Resources", _Resources(database, bucket)), bucket, live, work_dir)
    assert found.past.recorded_seconds == pytest.approx(5, abs=0.1)


@pytest.mark.integration
async def test_a_meeting_does_not_wait_for_storage(
    tmp_path: Path, bucket: Bucket, database: Database, live: Job
) -> None:
    bucket.away = True
    found = await look_back(
        cast("Resources", _Resources(database, bucket)), bucket, live, tmp_path / "w"
    )
    assert found.past == Past(Status.RECORDING, RecordingState.RECORDING, began_at=live.started_at)
    assert not found.complete
    assert plan(live, found) == GO_BACK


@pytest.mark.media
def test_a_return_that_failed_ends_the_recording_without_making_it_longer(tmp_path: Path) -> None:
    """The meeting ended while the bot was away: `completed`, with what was recorded."""
    work_dir = tmp_path / JOB
    write_attempt(work_dir, seconds=4, closed=False)
    later = Open(job_id=JOB, fence=2, t0_ms=T0 + 20_000)
    write_ending(work_dir, later, ExitReason.CALL_ENDED)
    recording = finalize(work_dir)
    assert recording.exit_reason is ExitReason.CALL_ENDED
    assert recording.recorded_seconds == 4
    assert recording.gaps == ()
    assert recording.ended_at - recording.started_at < timedelta(seconds=4.2)


@pytest.mark.media
async def test_a_delivered_job_that_was_never_settled_is_settled_from_its_manifest(
    tmp_path: Path, bucket: Bucket
) -> None:
    """Its process died between the last delete and the bill (BL-02)."""
    work_dir = tmp_path / JOB
    write_attempt(work_dir, seconds=4)
    facts = ManifestFacts("ext", "sandbox", FailureCode.REMOVED_FROM_MEETING)
    recording = finalize(work_dir)
    manifest = build_manifest(recording, facts, lambda name: f"s3://b/{name}")
    assert await delivered(bucket, prefix(JOB)) is None
    bucket.put(f"{prefix(JOB)}{MANIFEST_NAME}", manifest.to_json())
    found = await delivered(bucket, prefix(JOB))
    assert found == manifest
    outcome = Outcome()
    outcome.take_over(found, "s3://b/manifest.json")
    settled = outcome.settlement()
    assert settled.recorded_seconds == recording.recorded_seconds == 4
    assert settled.manifest_uri == "s3://b/manifest.json"
    assert settled.failure_code is not None
    assert settled.ended_at == manifest.ended_at
