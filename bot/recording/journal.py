"""Writes one attempt to disk: media files that only grow, and the journal that describes them.

Media bytes reach their file before the line that describes them; both are synced together. An
error of the disk is never swallowed: it becomes `RecordingDiskError` and stays.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from io import FileIO
from pathlib import Path

from core.errors import BotFault
from core.jobs.failures import ExitReason
from core.recordings.journal import (
    JOURNAL_NAME,
    Close,
    Entry,
    Open,
    Segment,
    StreamOpened,
    encode,
)


class RecordingDiskError(BotFault):
    """The work folder cannot be written; the message says which file and what to do."""


def disk_error(path: Path, error: OSError) -> RecordingDiskError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "The disk is full: free some space under the data folder."
    else:
        advice = "Check that the data folder is writable and its disk is healthy."
    return RecordingDiskError(f"Cannot write {path}: {error.strerror or error}. {advice}")


class GrowingFile:
    """An append-only file, unbuffered, so that a killed process has lost nothing it wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        try:
            self._file = FileIO(path, "xb")
        except OSError as error:
            raise disk_error(path, error) from error

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                written = self._file.write(view) or 0
                self.size += written
                view = view[written:]
        except OSError as error:
            raise disk_error(self.path, error) from error

    def sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise disk_error(self.path, error) from error

    def close(self) -> None:
        self._file.close()


def write_ending(work_dir: Path, opened: Open, exit_reason: ExitReason) -> None:
    """The journal of an attempt that never got back into the room: only how that ended.

    Raises:
        RecordingDiskError: the work folder cannot be written.
    """
    journal = JournalWriter(work_dir, opened)
    try:
        journal.write(Close(at_ms=opened.t0_ms, exit_reason=exit_reason))
    finally:
        journal.close()


class StreamFile:
    """A media file of the attempt, described in segments."""

    def __init__(self, opened: StreamOpened, folder: Path) -> None:
        self.opened = opened
        self._file = GrowingFile(folder / opened.stream)
        self._described = 0
        self._seq = 0
        self._start_ms = opened.start_ms
        self._digest = hashlib.sha256()

    @property
    def name(self) -> str:
        return self.opened.stream

    @property
    def size(self) -> int:
        return self._file.size

    def append(self, data: bytes) -> None:
        if data:
            self._file.append(data)
            self._digest.update(data)

    def segment(self, end_ms: int, speech: tuple[tuple[int, int], ...] = ()) -> Segment | None:
        """What was appended since the last segment, which ends at `end_ms`; None if nothing."""
        size = self._file.size - self._described
        if not size:
            return None
        segment = Segment(
            stream=self.name,
            seq=self._seq,
            offset=self._described,
            size=size,
            sha256=self._digest.hexdigest(),
            start_ms=self._start_ms,
            end_ms=end_ms,
            speech=speech,
        )
        self._described = self._file.size
        self._seq += 1
        self._start_ms = end_ms
        self._digest = hashlib.sha256()
        return segment

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


class JournalWriter:
    """The journal of one attempt in `<work_dir>/<fence>/`, which must not exist yet."""

    def __init__(self, work_dir: Path, opened: Open) -> None:
        self.folder = work_dir / str(opened.fence)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise disk_error(self.folder, error) from error
        self._file = GrowingFile(self.folder / JOURNAL_NAME)
        self._file.append(encode(opened))
        self._streams: list[StreamFile] = []
        self._unsynced: set[StreamFile] = set()

    @property
    def bytes_written(self) -> int:
        return self._file.size + sum(stream.size for stream in self._streams)

    def open_stream(self, opened: StreamOpened) -> StreamFile:
        """A new media file; its line is in the journal before its first byte is in the file."""
        self.write(opened)
        stream = StreamFile(opened, self.folder)
        self._streams.append(stream)
        return stream

    def write(self, *entries: Entry) -> None:
        """Append lines, in one write."""
        if entries:
            self._file.append(b"".join(map(encode, entries)))

    def describe(
        self, stream: StreamFile, end_ms: int, speech: tuple[tuple[int, int], ...] = ()
    ) -> None:
        """Journal what the stream has got since the last time."""
        segment = stream.segment(end_ms, speech)
        if segment is not None:
            self.write(segment)
            self._unsynced.add(stream)

    async def sync(self) -> None:
        """Make everything written so far survive a loss of power."""
        streams, self._unsynced = self._unsynced, set()
        await asyncio.to_thread(self._sync, streams)

    def _sync(self, streams: set[StreamFile]) -> None:
        for stream in streams:
            stream.sync()
        self._file.sync()

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        self._file.close()
