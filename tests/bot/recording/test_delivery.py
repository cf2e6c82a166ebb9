"""Delivery: verified in storage first, deleted here afterwards, and never on a doubt."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.recording.bundles import BundleUploader
from bot.recording.delivery import NotVerified, deliver, discard
from bot.recording.finalize import finalize
from core.clock import SystemClock
from core.errors import StorageError, StorageRefused
from core.storage.base import StoredObject
from core.storage.local import LocalStorage
from tests.bot.recording.writing import JOB, write_attempt

pytestmark = pytest.mark.integration

PREFIX = f"recordings/{JOB}/"


class Troubled(LocalStorage):
    """Local storage that refuses the first `refusals` files, or keeps no checksums."""

    refusals = 0
    uploads = 0
    without_checksums = False

    def put_file(self, key: str, path: Path, content_type: str) -> StoredObject:
        self.uploads += 1
        if self.refusals:
            self.refusals -= 1
            raise StorageError("The storage does not answer.")
        return super().put_file(key, path, content_type)

    def head(self, key: str) -> StoredObject:
        found = super().head(key)
        if not self.without_checksums:
            return found
        return StoredObject(found.key, found.size, None, found.content_type)


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.fixture
def storage(tmp_path: Path) -> Troubled:
    return Troubled(tmp_path / "bucket", files_url="http://files", link_secret=SecretStr("s"))


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / JOB
    write_attempt(folder, seconds=2)
    return folder


def test_every_file_is_in_storage_as_it_is_here(work_dir: Path, storage: Troubled) -> None:
    recording = finalize(work_dir)
    stored = deliver(recording, storage, PREFIX)
    assert {one.key.removeprefix(PREFIX): one.content_type for one in stored} == {
        "audio.prt_a.ogg": "audio/ogg",
        "audio.prt_b.ogg": "audio/ogg",
        "chat.json": "application/json",
        "chat.jsonl": "application/x-ndjson",
        "captions.vtt": "text/vtt",
    }
    for one in stored:
        data = storage.get_bytes(one.key)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (one.size, one.sha256)


def test_a_third_try_succeeds_and_sends_nothing_twice(work_dir: Path, storage: Troubled) -> None:
    """MF-16."""
    recording = finalize(work_dir)
    storage.refusals = 2
    for _ in range(2):
        with pytest.raises(StorageError):
            deliver(recording, storage, PREFIX)
    deliver(recording, storage, PREFIX)
    assert storage.uploads == 2 + 5
    deliver(recording, storage, PREFIX)
    assert storage.uploads == 2 + 5


def test_storage_without_checksums_is_read_back(work_dir: Path, storage: Troubled) -> None:
    storage.without_checksums = True
    recording = finalize(work_dir)
    assert len(deliver(recording, storage, PREFIX)) == 5
    assert storage.uploads == 5


def test_an_object_that_arrives_changed_is_an_error(
    work_dir: Path, storage: Troubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = finalize(work_dir)
    monkeypatch.setattr(
        storage,
        "put_file",
        lambda key, path, kind: storage.put_bytes(key, path.read_bytes()[:-1], kind),
    )
    with pytest.raises(NotVerified, match="local files are kept"):
        deliver(recording, storage, PREFIX)
    assert all(file.path.is_file() for file in recording.media)


async def test_after_delivery_nothing_is_left_but_the_recording(
    work_dir: Path, storage: Troubled
) -> None:
    """MF-20: neither files of the bot nor the journal in storage."""
    assert await BundleUploader(work_dir, 1, storage, 3, SystemClock()).ship()
    stored = deliver(finalize(work_dir), storage, PREFIX)
    discard(work_dir, storage, PREFIX)
    discard(work_dir, storage, PREFIX)
    assert list(work_dir.parent.iterdir()) == []
    assert [one.key for one in storage.list(PREFIX)] == sorted(one.key for one in stored)


async def test_a_bucket_that_forbids_deletes_keeps_the_journal_and_nothing_local(
    work_dir: Path, storage: Troubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await BundleUploader(work_dir, 1, storage, 3, SystemClock()).ship()
    deliver(finalize(work_dir), storage, PREFIX)

    def refuse(_keys: object) -> None:
        raise StorageRefused("AccessDenied.")

    monkeypatch.setattr(storage, "delete", refuse)
    kept = discard(work_dir, storage, PREFIX)
    assert kept is not None
    assert kept.startswith(f"What lies below {PREFIX}.journal/ could not be deleted")
    assert "AccessDenied. Allow s3:DeleteObject" in kept
    assert list(work_dir.parent.iterdir()) == []
    assert list(storage.list(f"{PREFIX}.journal/"))


@pytest.mark.parametrize("how", ["missing", "changed"])
async def test_nothing_is_deleted_while_an_object_is_in_doubt(
    work_dir: Path, storage: Troubled, how: str
) -> None:
    assert await BundleUploader(work_dir, 1, storage, 3, SystemClock()).ship()
    deliver(finalize(work_dir), storage, PREFIX)
    key = f"{PREFIX}audio.prt_b.ogg"
    if how == "missing":
        storage.delete([key])
    else:
        storage.put_bytes(key, b"something else", "audio/ogg")
    before = everything(work_dir)
    with pytest.raises(NotVerified):
        discard(work_dir, storage, PREFIX)
    assert everything(work_dir) == before
    assert list(storage.list(f"{PREFIX}.journal/"))


async def test_a_journal_in_storage_without_its_folder_is_never_deleted(
    tmp_path: Path, work_dir: Path, storage: Troubled
) -> None:
    assert await BundleUploader(work_dir, 1, storage, 3, SystemClock()).ship()
    with pytest.raises(NotVerified, match="only copy"):
        discard(tmp_path / "lost" / JOB, storage, PREFIX)
    assert list(storage.list(f"{PREFIX}.journal/"))


def test_an_attempt_that_was_never_finalized_is_never_deleted(
    work_dir: Path, storage: Troubled
) -> None:
    with pytest.raises(NotVerified, match="never finalized"):
        discard(work_dir, storage, PREFIX)
    assert work_dir.is_dir()


@pytest.mark.parametrize("prefix", ["", "/", "recordings/x", "elsewhere/x/"])
def test_only_a_recordings_prefix_is_accepted(
    work_dir: Path, storage: Troubled, prefix: str
) -> None:
    with pytest.raises(ValueError, match="recordings/<jobId>/"):
        discard(work_dir, storage, prefix)
