"""The journal in storage, while the meeting runs (design.md D8).

Every few seconds, what is new in all files of an attempt goes up as one object,
`recordings/<jobId>/.journal/<fence>/<n>`: a magic, the length of a header, a JSON header that
says which bytes of which file follow, and the bytes. From these objects any machine rebuilds
the work folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import shutil
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Self

from pydantic import BaseModel, Field, ValidationError

from core.clock import Clock
from core.errors import StaleAttempt, StorageError
from core.recordings.journal import JOURNAL_NAME
from core.storage.base import Storage

BUNDLE_TYPE: Final = "application/vnd.meetbot.journal-bundle"
# After an outage of the storage the backlog goes up in objects of at most this size.
MAX_BUNDLE_BYTES: Final = 32 * 1024 * 1024
_MAGIC: Final = b"MBJ1"
_HEAD: Final = struct.Struct("<4sI")
# The attempt's number and the bundle's.
_BUNDLE: Final = re.compile(r"(\d+)/(\d+)")
_NAME: Final = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"
_MAX_BACKLOG_BUNDLES: Final = 64
_LAST_TRY_S: Final = 20.0
_LONGEST_WAIT_S: Final = 60.0
# What was sent of each attempt that was made on this machine.
_SENT: Final = ".sent"
# The process before may still be putting an object when the next one goes on for it.
_LEFT_FREE: Final = 100

_log = logging.getLogger(__name__)


class Chunk(BaseModel):
    """`size` bytes at `offset` of the file `name`; chunks of a file have no holes."""

    name: str = Field(pattern=_NAME)
    offset: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(ge=0)]
    sha256: str


class BadBundle(StorageError):
    """An object below `.journal/` is not a bundle, or its bytes do not fit its checksums."""

    retryable = False


def journal_prefix(job_id: str) -> str:
    return f"recordings/{job_id}/.journal/"


def pack(parts: Sequence[tuple[str, int, bytes]]) -> bytes:
    """A bundle of (name, offset, bytes)."""
    chunks = [
        Chunk(name=name, offset=offset, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, offset, data in parts
    ]
    header = json.dumps([chunk.model_dump() for chunk in chunks]).encode()
    return _HEAD.pack(_MAGIC, len(header)) + header + b"".join(data for _, _, data in parts)


def unpack(bundle: bytes) -> Iterator[tuple[Chunk, bytes]]:
    """The chunks of a bundle, checked.

    Raises:
        BadBundle: it is damaged.
    """
    try:
        magic, length = _HEAD.unpack_from(bundle)
        header = json.loads(bundle[_HEAD.size : _HEAD.size + length])
        chunks = [Chunk.model_validate(item) for item in header]
    except (struct.error, ValueError, ValidationError) as error:
        raise BadBundle("A journal bundle has no readable header.") from error
    if magic != _MAGIC:
        raise BadBundle("A journal bundle does not start as one.")
    at = _HEAD.size + length
    for chunk in chunks:
        data = bundle[at : at + chunk.size]
        at += chunk.size
        if hashlib.sha256(data).hexdigest() != chunk.sha256:
            raise BadBundle(f"The bytes of {chunk.name} in a journal bundle are damaged.")
        yield chunk, data


class _Sent(BaseModel):
    """How far the files of an attempt are in storage, and the number of its next bundle."""

    number: Annotated[int, Field(ge=0)] = 0
    ends: dict[str, int] = {}


@dataclass(frozen=True)
class _Pending:
    bundle: bytes
    ends: dict[str, int]


class BundleUploader:
    """Ships what is new every `interval_seconds` while its block runs, and once more at its end.

    An outage of the storage is waited out: nothing is lost, the next object holds more, and it is
    asked less often until it answers. Nothing that goes wrong here reaches the recording.
    What earlier attempts on this machine left unsent goes up first: the machine may be lost, too.
    `lag_bytes` is what was on disk and not in storage at the last attempt.
    """

    def __init__(
        self, work_dir: Path, fence: int, storage: Storage, interval_seconds: float, clock: Clock
    ) -> None:
        self.lag_bytes = 0
        self.failures = 0
        self._folder = work_dir / str(fence)
        self._prefix = f"{journal_prefix(work_dir.name)}{fence}/"
        self._storage = storage
        self._interval = interval_seconds
        self._clock = clock
        self._sent: dict[str, int] = {}
        self._number = 0
        self._noted = work_dir / _SENT / f"{fence}.json"
        self._earlier: list[BundleUploader] = []
        self._task: asyncio.Task[None] | None = None
        self._putting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            self._earlier = await asyncio.to_thread(self._left)
            await asyncio.to_thread(self._note)
        except OSError as error:
            _log.warning("What earlier attempts left unsent is not known: %s", error)
        self._task = asyncio.create_task(self._run(), name="bundles")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(error, StaleAttempt):
            # Another attempt has the job: nothing of this one is wanted any more (D10).
            return
        try:
            async with asyncio.timeout(_LAST_TRY_S):
                await self.ship()
        except TimeoutError:
            _log.warning("Storage did not take the last journal bundle within %g s", _LAST_TRY_S)

    async def ship(self) -> bool:
        """Upload everything new; False when the storage did not take all of it."""
        while self._earlier:
            if not await self._earlier[0].ship():
                self.failures += 1
                return False
            self._earlier.pop(0)
        try:
            # One after the other: a slow object that arrived late would replace the next one.
            await self._put_through()
            for _ in range(_MAX_BACKLOG_BUNDLES):
                pending = await asyncio.to_thread(self._collect)
                if pending is None:
                    return True
                key = f"{self._prefix}{self._number:06d}"
                self._putting = asyncio.create_task(self._put(key, pending), name=key)
                await self._put_through()
        except (StorageError, OSError) as error:
            self.failures += 1
            self._say(error)
        return False

    async def _put_through(self) -> None:
        """Not torn by a cancellation: what was stored must be known as stored."""
        putting = self._putting
        if putting is None:
            return
        try:
            await asyncio.shield(putting)
        finally:
            if putting.done():
                self._putting = None

    async def _put(self, key: str, pending: _Pending) -> None:
        await asyncio.to_thread(self._storage.put_bytes, key, pending.bundle, BUNDLE_TYPE)
        if self.failures:
            _log.info("Storage takes journal bundles again")
        self.failures = 0
        self._sent.update(pending.ends)
        self._number += 1
        await asyncio.to_thread(self._note)

    def _note(self) -> None:
        """Write down how far it is, for the attempt after this one."""
        self._noted.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._noted.with_suffix(".new")
        fresh.write_text(_Sent(number=self._number, ends=self._sent).model_dump_json())
        fresh.replace(self._noted)

    def _left(self) -> list[BundleUploader]:
        """Uploaders of the attempts before this one that were made on this machine."""
        found = []
        for path in sorted(self._noted.parent.glob("*.json"), key=lambda path: path.stem):
            if not path.stem.isdigit() or int(path.stem) >= int(self._folder.name):
                continue
            try:
                sent = _Sent.model_validate_json(path.read_bytes())
            except ValidationError:
                # Torn by a lost machine: all of it goes up again.
                sent = _Sent()
            one = BundleUploader(
                self._folder.parent, int(path.stem), self._storage, self._interval, self._clock
            )
            one._sent, one._number = dict(sent.ends), sent.number + _LEFT_FREE
            found.append(one)
        return found

    def _say(self, error: StorageError | OSError) -> None:
        if self.failures == 1:
            _log.warning("Journal bundles stay local for now: %s", error)

    async def _run(self) -> None:
        while True:
            backoff = self._interval * 2 ** min(self.failures, 10)
            await self._clock.sleep(min(backoff, max(self._interval, _LONGEST_WAIT_S)))
            await self.ship()

    def _collect(self) -> _Pending | None:
        """What is new, the journal's size taken first: it never describes what is not there."""
        sizes = {path.name: path.stat().st_size for path in self._files()}
        parts: list[tuple[str, int, bytes]] = []
        room = MAX_BUNDLE_BYTES
        for name, size in reversed(sizes.items()):
            sent = self._sent.get(name, 0)
            take = min(size - sent, room)
            if take > 0:
                data = _read(self._folder / name, sent, take)
                parts.append((name, sent, data))
                room -= len(data)
        self.lag_bytes = sum(size - self._sent.get(name, 0) for name, size in sizes.items())
        if not parts:
            return None
        ends = {name: offset + len(data) for name, offset, data in parts}
        return _Pending(pack(parts), ends)

    def _files(self) -> Iterator[Path]:
        journal = self._folder / JOURNAL_NAME
        if journal.is_file():
            yield journal
            yield from sorted(
                path for path in self._folder.iterdir() if path.is_file() and path != journal
            )


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def missing_attempts(storage: Storage, job_id: str, work_dir: Path) -> frozenset[int]:
    """The attempts of which storage has something and this machine has not.

    An attempt whose journal is here was made on this machine: nothing in storage is newer.

    Raises:
        StorageError: storage did not answer.
    """
    prefix = journal_prefix(job_id)
    here = {int(path.parent.name) for path in work_dir.glob(f"[0-9]*/{JOURNAL_NAME}")}
    there = (_BUNDLE.fullmatch(stored.key[len(prefix) :]) for stored in storage.list(prefix))
    return frozenset(int(found[1]) for found in there if found) - here


def restore(storage: Storage, job_id: str, work_dir: Path) -> int:
    """Rebuild from storage the attempts that are not here; the number of bundles used.

    A missing or damaged bundle costs what follows it in the same files, nothing else.

    Raises:
        StorageError: storage did not answer.
    """
    prefix = journal_prefix(job_id)
    missing = missing_attempts(storage, job_id, work_dir)
    scratch = work_dir / ".restoring"
    shutil.rmtree(scratch, ignore_errors=True)
    used = 0
    for stored in storage.list(prefix) if missing else ():
        found = _BUNDLE.fullmatch(stored.key[len(prefix) :])
        if found is None or int(found[1]) not in missing:
            continue
        try:
            chunks = list(unpack(storage.get_bytes(stored.key)))
        except BadBundle as error:
            _log.error("%s: %s", stored.key, error.message)
            continue
        folder = scratch / str(int(found[1]))
        folder.mkdir(parents=True, exist_ok=True)
        for chunk, data in chunks:
            _apply(folder / chunk.name, chunk, data)
        used += 1
    _move_in(scratch, work_dir)
    return used


def _move_in(scratch: Path, work_dir: Path) -> None:
    """Whole attempts only: a restoration that was cut short leaves nothing behind."""
    for folder in scratch.iterdir() if scratch.is_dir() else ():
        shutil.rmtree(work_dir / folder.name, ignore_errors=True)
        folder.rename(work_dir / folder.name)
    shutil.rmtree(scratch, ignore_errors=True)


def _apply(path: Path, chunk: Chunk, data: bytes) -> None:
    have = path.stat().st_size if path.exists() else 0
    if chunk.offset > have:
        _log.error("%s misses bytes %d to %d in storage", path, have, chunk.offset)
        return
    with path.open("ab") as file:
        file.write(data[have - chunk.offset :])
