"""Evidence of screens, from the machine's disk into the job's storage, beside its recording."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from bot.evidence import evidence_folder
from core.recordings.evidence import MIME_TYPES, EvidenceFile, evidence_key
from core.storage.base import Storage

log = logging.getLogger(__name__)

# All attempts of a job together.
MOST_FILES: Final = 60


def waits(work_dir: Path) -> bool:
    """Whether there is evidence on this machine that storage may not have yet."""
    return any(_files(work_dir))


async def send(work_dir: Path, job_id: str, storage: Storage) -> tuple[EvidenceFile, ...]:
    """Put what there is into storage; it stays here, too. Again: the same objects.

    Raises:
        StorageError: storage is away or refuses.
    """
    return await asyncio.to_thread(_send, work_dir, job_id, storage)


async def drop(work_dir: Path) -> None:
    """It is in storage; a work folder with nothing else in it goes, too."""
    await asyncio.to_thread(_drop, work_dir)


def _send(work_dir: Path, job_id: str, storage: Storage) -> tuple[EvidenceFile, ...]:
    sent = []
    for path in _files(work_dir):
        data, key = path.read_bytes(), evidence_key(job_id, path.name)
        mime_type = MIME_TYPES[path.suffix]
        storage.put_bytes(key, data, mime_type)
        sent.append(
            EvidenceFile(
                name=path.name,
                uri=storage.uri(key),
                mime_type=mime_type,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )
    if sent:
        log.warning("%s: what the page showed is in %s", job_id, ", ".join(f.uri for f in sent))
    return tuple(sent)


def _files(work_dir: Path) -> list[Path]:
    folder = evidence_folder(work_dir)
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in MIME_TYPES)[:MOST_FILES]


def _drop(work_dir: Path) -> None:
    shutil.rmtree(evidence_folder(work_dir), ignore_errors=True)
    with suppress(OSError):
        work_dir.rmdir()
