"""Files of erased jobs on this machine, such as recordings that were given up (MF-16, MF-22)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from core.erasure import service
from core.ids import parse_id
from flows.resources import Resources

# What `discard` has renamed and could not remove.
DISCARDED: Final = ".discarded-"


async def erase_local(resources: Resources) -> int:
    """Remove the work folders of jobs that are erased, and say so; how many folders.

    Raises:
        Unavailable: the job store is away.
    """
    work = resources.settings.work_dir
    folders = await asyncio.to_thread(_folders, work)
    async with resources.database.begin() as session:
        erased = await service.erased_among(session, {job_id for job_id, _ in folders})
    removed: dict[str, int] = {}
    for job_id, folder in folders:
        if job_id in erased:
            files = await asyncio.to_thread(_remove, folder)
            removed[job_id] = removed.get(job_id, 0) + files
    async with resources.database.begin() as session:
        await service.machine_looked(
            session, resources.settings.worker.name, removed, now=resources.clock.now()
        )
    return len(removed)


def _folders(work: Path) -> list[tuple[str, Path]]:
    found = []
    for folder in sorted(work.iterdir()) if work.is_dir() else ():
        job_id = parse_id("job", folder.name.removeprefix(DISCARDED))
        if job_id is not None and folder.is_dir() and not folder.is_symlink():
            found.append((job_id, folder))
    return found


def _remove(folder: Path) -> int:
    """Remove a folder; how many files were in it.

    Raises:
        OSError: something could not be removed; it is tried again.
    """
    files = sum(1 for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return files
