"""Where recordings go: one interface, an S3-compatible bucket or a local folder behind it.

Keys are relative to the team's prefix and start with `recordings/<jobId>/`. Calls block; async
code runs them in a thread. Every implementation raises `ObjectMissing`, `StorageRefused` or
`StorageError` and never an exception of its vendor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class StoredObject:
    """An object as storage reports it; `sha256` is lower-case hex, None where unknown."""

    key: str
    size: int
    sha256: str | None
    content_type: str


@dataclass(frozen=True)
class Erased:
    """What was taken out: `versions` counts every version and marker of the objects.

    `uploads` were begun and never completed. None: the store does not say.
    """

    objects: int = 0
    versions: int | None = None
    uploads: int | None = None

    def counts(self) -> dict[str, int | None]:
        return {"objects": self.objects, "versions": self.versions, "uploads": self.uploads}


class Storage(Protocol):
    def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        """Write or replace an object; when it returns, the object is readable."""
        ...

    def put_file(self, key: str, path: Path, content_type: str) -> StoredObject:
        """Write or replace an object from a file of any size (multipart where it helps)."""
        ...

    def get_bytes(self, key: str) -> bytes: ...

    def get_file(self, key: str, path: Path) -> None:
        """Download to `path`, which appears only when complete."""
        ...

    def head(self, key: str) -> StoredObject:
        """Size and checksum as storage has them, without the content."""
        ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects under `prefix`, in key order."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is already gone is no error."""
        ...

    def erase(self, prefix: str, first: str) -> Erased:
        """Remove all that is or ever was below `prefix`, the object `first` before the others.

        When it returns, nothing is left: it has looked.
        """
        ...

    def uri(self, key: str) -> str:
        """The absolute `s3://…` form that manifests carry (MF-10)."""
        ...

    def link(self, key: str, seconds: int) -> str:
        """A time-limited link that a plain GET can fetch."""
        ...
