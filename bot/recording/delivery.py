"""From the work folder to storage, verified; and only then away (MF-16, MF-20, D8)."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.recording.bundles import journal_prefix
from bot.recording.finalize import final_files
from core.errors import ObjectMissing, StorageError, StorageRefused
from core.recordings.recording import Recording
from core.storage.base import Storage, StoredObject

_TYPES: Final = {
    ".ogg": "audio/ogg",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".vtt": "text/vtt",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
}

_log = logging.getLogger(__name__)


class NotVerified(StorageError):
    """An object in storage is not what was put there; nothing local was deleted."""


@dataclass(frozen=True)
class _Item:
    name: str
    path: Path
    size: int
    sha256: str

    @property
    def content_type(self) -> str:
        return _TYPES.get(self.path.suffix, "application/octet-stream")


def deliver(recording: Recording, storage: Storage, prefix: str) -> list[StoredObject]:
    """Upload every final file to `<prefix><name>` and verify each one by size and checksum.

    `prefix` is `recordings/<jobId>/`. Objects that are there and right are not sent again, so
    a repeated call goes on where the last one failed.

    Raises:
        StorageError: storage is away (retry), refuses, or holds something else (`NotVerified`).
    """
    _check_prefix(prefix)
    stored = []
    for item in _items(recording):
        key = prefix + item.name
        if not _is_there(storage, key, item):
            storage.put_file(key, item.path, item.content_type)
            if not _is_there(storage, key, item):
                raise NotVerified(
                    f"{key} was uploaded, but storage does not hold {item.size} bytes with "
                    f"SHA-256 {item.sha256}. The local files are kept; try again."
                )
        stored.append(StoredObject(key, item.size, item.sha256, item.content_type))
    return stored


def discard(work_dir: Path, storage: Storage, prefix: str) -> str | None:
    """Delete the journal in storage, then the work folder, after verifying every final object.

    Idempotent: when all is gone already there is nothing to do. A bucket that takes and gives but
    lets nobody delete keeps the journal: returns what stayed there and why, for people to read.

    Raises:
        NotVerified: an object is missing or differs; nothing was deleted.
        StorageError: storage is away.
    """
    _check_prefix(prefix)
    for path in final_files(work_dir):
        item = _local(path.name, path)
        if not _is_there(storage, prefix + item.name, item):
            raise NotVerified(
                f"{prefix}{item.name} is not in storage as it is here; nothing was deleted."
            )
    if _has_unfinished(work_dir):
        raise NotVerified(
            f"{work_dir} holds a journal that was never finalized; nothing was deleted."
        )
    objects = [stored.key for stored in storage.list(f"{prefix}.journal/")]
    if objects and not work_dir.is_dir():
        raise NotVerified(
            f"{work_dir} does not exist, so the journal in storage may be the only copy; restore "
            "and deliver it first."
        )
    kept = forget(storage, objects, f"{prefix}.journal/")
    # In one step, so that a crash never leaves half a work folder that looks like a recording.
    trash = work_dir.with_name(f".discarded-{work_dir.name}")
    if work_dir.is_dir():
        shutil.rmtree(trash, ignore_errors=True)
        work_dir.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)
    return kept


def forget(storage: Storage, keys: Sequence[str], folder: str) -> str | None:
    """Delete objects below `folder`; where the bucket forbids it, what to do about them.

    Raises:
        StorageError: storage is away.
    """
    try:
        storage.delete(keys)
    except StorageRefused as error:
        note = (
            f"What lies below {folder} could not be deleted and is not needed any more: "
            f"{error.message} Allow s3:DeleteObject, or expire it with a lifecycle rule."
        )
        _log.warning("%s", note)
        return note
    return None


def _has_unfinished(work_dir: Path) -> bool:
    """Attempts without a `final` folder beside them."""
    return any(work_dir.glob("[0-9]*/*")) and not (work_dir / "final").is_dir()


def _check_prefix(prefix: str) -> None:
    if not prefix.endswith("/") or journal_prefix(prefix.split("/")[-2]) != f"{prefix}.journal/":
        raise ValueError(f"{prefix!r} is not of the form recordings/<jobId>/")


def _items(recording: Recording) -> Iterator[_Item]:
    for file in recording.media:
        yield _Item(file.name, file.path, file.bytes, file.sha256)
    for name, path in recording.texts.items():
        yield _local(name, path)


def _local(name: str, path: Path) -> _Item:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _Item(name, path, path.stat().st_size, digest)


def _is_there(storage: Storage, key: str, item: _Item) -> bool:
    try:
        head = storage.head(key)
    except ObjectMissing:
        return False
    if head.size != item.size:
        return False
    return (head.sha256 or _downloaded_sha256(storage, key)) == item.sha256


def _downloaded_sha256(storage: Storage, key: str) -> str:
    """For storage that keeps no checksum: the object itself, once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        storage.get_file(key, path)
        return _local(key, path).sha256
