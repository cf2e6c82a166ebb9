"""What a meeting has on its machine and in storage while it lives, and what is left of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from core.errors import Unavailable
from core.jobs.models import Job
from tests.e2e import processes
from tests.e2e.operator import Operator
from tests.support.stack import RunningStack

LOOK_SECONDS: Final = 1.5
# A killed process is swept up after within two looks of the worker, a new one's after its start.
GONE_SECONDS: Final = 40.0
ASK_SECONDS: Final = 2.0
# Objects that live only as long as the job.
PASSING: Final = (".journal/", ".media/")


async def meeting_of(product: RunningStack, job_id: str) -> psutil.Process | None:
    """The process that holds the job's lease; None when none does, or the database is away."""
    try:
        async with asyncio.timeout(ASK_SECONDS), product.database.begin() as session:
            holder = (await session.get_one(Job, job_id)).lease_holder
        return psutil.Process(int(holder.rpartition(":")[2])) if holder else None
    except (Unavailable, TimeoutError, ValueError, psutil.NoSuchProcess):
        # Also when the recording waits for storage, held by no process.
        return None


class Footprint:
    """The processes, listening sockets and temporary folders of one job, noted while they live."""

    def __init__(self, product: RunningStack, job_id: str) -> None:
        self._product = product
        self._job_id = job_id
        self._family: set[psutil.Process] = set()
        self._ports: set[tuple[psutil.Process, int]] = set()

    @asynccontextmanager
    async def noted(self) -> AsyncIterator[None]:
        """Note what there is, again and again, while the block runs."""

        async def watch() -> None:
            while True:
                meeting = await meeting_of(self._product, self._job_id)
                if meeting is not None:
                    await asyncio.to_thread(self._note, meeting)
                await asyncio.sleep(LOOK_SECONDS)

        watching = asyncio.create_task(watch(), name="footprint")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def left(self) -> list[str]:
        """What is still there some time after the job is over; empty when nothing is."""
        if not self._family:
            return ["no process of this job was ever seen"]
        deadline = time.monotonic() + GONE_SECONDS
        while (left := await self._look()) and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
        return left

    def _note(self, meeting: psutil.Process) -> None:
        with suppress(psutil.Error):
            self._family |= {meeting, *meeting.children(recursive=True)}
            self._ports |= {(meeting, port) for port in _listening(meeting)}

    async def _look(self) -> list[str]:
        objects = await Operator(self._product).objects(self._job_id)
        here = await asyncio.to_thread(lambda: list(self._on_this_machine()))
        return here + [f"object {name}" for name in objects if name.startswith(PASSING)]

    def _on_this_machine(self) -> Iterator[str]:
        settings = self._product.settings
        yield from (f"process {_line(process)}" for process in self._family if _lives(process))
        for meeting, port in self._ports:
            if port in _listening(meeting):
                yield f"socket 127.0.0.1:{port} of {meeting.pid}"
        for name in (self._job_id, f".discarded-{self._job_id}"):
            if (settings.work_dir / name).exists():
                yield f"folder {settings.work_dir / name}"
        owners = {str(process.pid) for process in self._family}
        for path in _entries(settings.scratch_dir):
            if path.name.partition("-")[0] in owners:
                yield f"temporary {path}"


async def left_of_all(product: RunningStack) -> list[str]:
    """What is left on the machine when every job is over."""
    deadline = time.monotonic() + GONE_SECONDS
    while (left := await asyncio.to_thread(_all, product)) and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
    return left


def _all(product: RunningStack) -> list[str]:
    settings = product.settings
    browsers = [f"browser {process.pid}" for process in processes.browsers(product)]
    folders = [*_entries(settings.scratch_dir), *_entries(settings.work_dir)]
    return browsers + [f"left at {path}" for path in folders]


def _listening(process: psutil.Process) -> set[int]:
    with suppress(psutil.Error):
        found = process.net_connections("tcp")
        return {one.laddr.port for one in found if one.status == psutil.CONN_LISTEN}
    return set()


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _line(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())[:80]}"
    return str(process.pid)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
