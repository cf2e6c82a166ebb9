"""Trying a bucket out: everything that a recording needs, on an object of no use (API-43)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import ObjectMissing, StorageError
from core.ids import new_id
from core.storage.base import Storage

Step = Literal["write", "read", "list", "delete"]
CONTENT: Final = b"meetbot wrote this to see whether it can; it may be deleted.\n"
WRITTEN_ONLY: Final = "Not tried, because nothing could be written."
# What the policy of the bucket has to allow, in the words of S3.
RIGHTS: Final[dict[Step, str]] = {
    "write": "s3:PutObject and s3:GetObject, and s3:AbortMultipartUpload for large files (with "
    "aws:kms also kms:GenerateDataKey and kms:Decrypt on the key)",
    "read": "s3:GetObject (with aws:kms also kms:Decrypt on the key)",
    "list": "s3:ListBucket on the bucket itself",
    "delete": "s3:DeleteObject; without it journals of recordings stay in the bucket",
}
VERBS: Final[dict[Step, str]] = {
    "write": "Writing an object",
    "read": "Reading it back",
    "list": "Listing objects",
    "delete": "Deleting it",
}


@dataclass(frozen=True)
class ProbeStep:
    """One thing that was tried. `message` says what to do where it failed."""

    step: Step
    ok: bool
    message: str


def probe(storage: Storage) -> list[ProbeStep]:
    """Write, read, list and delete an object below `recordings/`; blocks.

    Never raises: what fails is said in its step.
    """
    folder = f"recordings/.probe/{new_id('evt')}/"
    key = f"{folder}probe.txt"
    written = _try("write", lambda: _write(storage, key))
    if not written.ok:
        untried = [ProbeStep(step, False, WRITTEN_ONLY) for step in ("read", "list", "delete")]
        return [written, *untried]
    return [
        written,
        _try("read", lambda: _read(storage, key)),
        _try("list", lambda: _list(storage, folder, key)),
        _try("delete", lambda: _delete(storage, key)),
    ]


def _write(storage: Storage, key: str) -> None:
    stored = storage.put_bytes(key, CONTENT, "text/plain")
    if stored.size != len(CONTENT):
        raise StorageError(f"{len(CONTENT)} bytes were sent and {stored.size} are stored.")


def _read(storage: Storage, key: str) -> None:
    if storage.get_bytes(key) != CONTENT:
        raise StorageError("What came back is not what was written.")


def _list(storage: Storage, folder: str, key: str) -> None:
    if [stored.key for stored in storage.list(folder)] != [key]:
        raise StorageError("The object that was written is not in the list.")


def _delete(storage: Storage, key: str) -> None:
    storage.delete([key])
    try:
        storage.head(key)
    except ObjectMissing:
        return
    raise StorageError("The object is still there after it was deleted.")


def _try(step: Step, act: Callable[[], None]) -> ProbeStep:
    try:
        act()
    except StorageError as error:
        advice = f"{VERBS[step]} failed: {error.message} The keys need {RIGHTS[step]}."
        return ProbeStep(step, False, advice)
    return ProbeStep(step, True, f"{VERBS[step]} works.")
