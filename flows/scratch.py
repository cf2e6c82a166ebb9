"""What a meeting's process keeps only while it lives: browser profiles, sockets, temporary files.

Whoever is killed clears nothing up. So each process has one folder for all of it and holds a lock
beside it, which ends with the process however that ends; the worker sweeps away what nobody holds.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import psutil

log = logging.getLogger(__name__)

SUFFIX: Final = ".lock"
# A lock so fresh may not be held yet by the process that is about to take it.
FRESH_SECONDS: Final = 5.0


@contextmanager
def own_scratch(root: Path) -> Iterator[Path]:
    """A folder below `root` for this process and its children's temporary files, for the block."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root.absolute()))
    with _lock_of(folder).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with _temporary_files_in(folder):
                yield folder
        finally:
            _remove(folder)


def sweep(root: Path, *, fresh_seconds: float = FRESH_SECONDS) -> int:
    """Remove what dead processes left in `root`, and end what they started; how many these were."""
    swept = 0
    oldest = time.time() - fresh_seconds
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        with suppress(OSError):
            if folder.suffix == SUFFIX or folder.stat().st_mtime > oldest:
                continue
            with _lock_of(folder).open("a") as lock:
                if not _free(lock):
                    continue
                _end_users_of(folder)
                _remove(folder)
            log.info("%s was left by a process that is gone", folder.name)
            swept += 1
    return swept


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Ours, and those of programs that this process starts."""
    environment = os.environ  # noqa: TID251 - no setting of ours: it is for children
    usual, told = tempfile.tempdir, environment.get("TMPDIR")
    tempfile.tempdir = environment["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = usual
        environment.pop("TMPDIR")
        if told is not None:
            environment["TMPDIR"] = told


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{SUFFIX}")


def _free(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_users_of(folder: Path) -> None:
    """Browsers name their profile on the command line; most end by themselves, some are stuck."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(f"{folder}/" in part for part in process.cmdline()):
                process.kill()


def _remove(folder: Path) -> None:
    # A browser on its way out may still write; what is left beside its lock is swept later.
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        _lock_of(folder).unlink(missing_ok=True)
