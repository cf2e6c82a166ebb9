"""A folder as storage: for development, the demo and one-machine set-ups (design.md D20).

An object `a/b` is the file `objects/a/b`; its checksum and media type lie beside it in `facts/`.
Writes appear whole or not at all. Links are never followed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from pydantic import SecretStr

from core.errors import ObjectMissing, StorageError, StorageRefused
from core.ids import new_id
from core.storage.base import Erased, StoredObject
from core.storage.keys import checked_key, link_path

CHUNK: Final = 1 << 20
DEFAULT_TYPE: Final = "application/octet-stream"


class LocalStorage:
    """Objects below `root`.

    Args:
        files_url: where `core.storage.files` serves the root, for links.
        link_secret: what links are signed with; shared with that server.
    """

    def __init__(self, root: Path, *, files_url: str, link_secret: SecretStr) -> None:
        self._objects = root.absolute() / "objects"
        self._facts = root.absolute() / "facts"
        self._incoming = root.absolute() / "incoming"
        self._files_url = files_url.rstrip("/")
        self._link_secret = link_secret

    def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        with self._writing(key, content_type) as target:
            target.write(data)
        return self.head(key)

    def put_file(self, key: str, path: Path, content_type: str) -> StoredObject:
        with path.open("rb") as source, self._writing(key, content_type) as target:
            shutil.copyfileobj(source, target, CHUNK)
        return self.head(key)

    def get_bytes(self, key: str) -> bytes:
        with self._open(key) as source:
            return source.read()

    def get_file(self, key: str, path: Path) -> None:
        part = path.with_name(f".{path.name}.{new_id('evt')}")
        try:
            with self._open(key) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def head(self, key: str) -> StoredObject:
        with self._open(key) as source:
            size = os.fstat(source.fileno()).st_size
        facts = self._read_facts(key)
        return StoredObject(
            key=key,
            size=size,
            sha256=facts.get("sha256"),
            content_type=facts.get("contentType", DEFAULT_TYPE),
        )

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for key in sorted(self._keys(prefix)):
            try:
                yield self.head(key)
            except ObjectMissing:
                # Deleted since we looked.
                continue

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            for root in (self._objects, self._facts):
                path = self._path(root, key)
                with self._translated(key):
                    path.unlink(missing_ok=True)
                    self._prune(path.parent, root)

    def erase(self, prefix: str, first: str) -> Erased:
        below = f"{checked_key(prefix.rstrip('/'))}/"
        keys = sorted(self._keys(below), key=lambda key: (key != first, key))
        self.delete(keys)
        left = list(self._keys(below))
        if left:
            raise StorageError(f"{len(left)} files below {below} are still there.")
        return Erased(objects=len(keys))

    def uri(self, key: str) -> str:
        return f"s3://local/{checked_key(key)}"

    def link(self, key: str, seconds: int) -> str:
        expires = int(time.time()) + seconds
        return self._files_url + link_path(checked_key(key), expires, self._link_secret)

    @contextmanager
    def _writing(self, key: str, content_type: str) -> Iterator[_Hashing]:
        """A file that becomes the object when the block ends well."""
        target = self._path(self._objects, key)
        facts = self._path(self._facts, key)
        with self._translated(key):
            for top in (self._objects, self._facts, self._incoming):
                top.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (target.parent, facts.parent):
                folder.mkdir(parents=True, exist_ok=True)
            part = self._incoming / new_id("evt")
            try:
                with part.open("xb") as raw:
                    hashing = _Hashing(raw)
                    yield hashing
                    raw.flush()
                    os.fsync(raw.fileno())
                self._write_facts(facts, hashing.hexdigest(), content_type)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)

    def _write_facts(self, path: Path, sha256: str, content_type: str) -> None:
        part = self._incoming / new_id("evt")
        part.write_text(json.dumps({"sha256": sha256, "contentType": content_type}))
        part.replace(path)

    def _read_facts(self, key: str) -> dict[str, str]:
        with self._translated(key):
            found: dict[str, str] = json.loads(self._path(self._facts, key).read_text())
        return found

    def _open(self, key: str) -> IO[bytes]:
        path = self._path(self._objects, key)
        with self._translated(key):
            return open_inside(self._objects, path)

    def _keys(self, prefix: str) -> Iterator[str]:
        for folder, _, names in os.walk(self._objects, followlinks=False):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self._objects).as_posix()
                if key.startswith(prefix) and not path.is_symlink():
                    yield key

    def _path(self, root: Path, key: str) -> Path:
        return root / checked_key(key)

    def _prune(self, folder: Path, root: Path) -> None:
        """Remove folders that became empty; storage has no folders to keep."""
        while folder != root:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
            raise ObjectMissing(f"There is no object {key}.") from exc
        except PermissionError as exc:
            raise StorageRefused(f"The storage folder refuses access: {exc.strerror}.") from exc
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise StorageRefused(f"{key} is a link, and links are not followed.") from exc
            raise StorageError(f"The storage folder failed: {exc.strerror or exc}.") from exc


class _Hashing:
    """A file that knows the checksum of what went through it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._sha256.update(data)
        return self._raw.write(data)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def open_inside(root: Path, path: Path) -> IO[bytes]:
    """Open a regular file below `root` for reading, refusing links at every level.

    Raises:
        OSError: not there (ENOENT), a link (ELOOP), or no regular file (EISDIR).
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *parents, name = path.relative_to(root).parts
        for parent in parents:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            deeper = os.open(parent, flags, dir_fd=folder)
            os.close(folder)
            folder = deeper
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise IsADirectoryError(errno.EISDIR, "not a file", str(path))
    return os.fdopen(file, "rb")
