"""Working off erasures: what is left of each, one step after the other (MF-22).

Any number of processes may do this: every step may be done twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import Clock
from core.database import Database
from core.dispatch import workers
from core.dispatch.base import RunEraser
from core.erasure import service
from core.erasure.models import Erasure
from core.errors import MeetbotError
from core.jobs.models import Job
from core.recordings.manifest import MANIFEST_NAME
from core.storage.base import Storage

log = logging.getLogger(__name__)

BATCH: Final = 50
# A machine that has not been heard of for so long is not waited for; it looks when it is back.
GONE_AFTER: Final = timedelta(hours=1)


class Eraser:
    """Args:
    storage_of: where the recording of a job lies.
    """

    def __init__(
        self,
        database: Database,
        storage_of: Callable[[Job], Awaitable[Storage]],
        clock: Clock,
    ) -> None:
        self._database = database
        self._storage_of = storage_of
        self._clock = clock

    async def objects(self, job_id: str) -> None:
        """Empty the job's place in storage, the manifest first.

        Raises:
            StorageError: the bucket is away or refuses; it stays due.
        """
        async with self._database.begin() as session:
            job = await session.get_one(Job, job_id)
        storage = await self._storage_of(job)
        prefix = f"recordings/{job_id}/"
        gone = await asyncio.to_thread(storage.erase, prefix, f"{prefix}{MANIFEST_NAME}")
        async with self._database.begin() as session:
            await service.objects_gone(session, job_id, gone, now=self._clock.now())

    async def drain(self, runs: RunEraser) -> int:
        """Go on with all that is due; how many are complete now."""
        async with self._database.begin() as session:
            due = await service.due_erasures(session, now=self._clock.now(), limit=BATCH)
        done = 0
        for row in due:
            try:
                await self._go_on(row, runs)
                done += 1
            except MeetbotError as error:
                log.info("%s is not erased yet: %s", row.job_id, error.message)
                async with self._database.begin() as session:
                    await service.later(session, row.job_id, error.message, now=self._clock.now())
        return done

    async def _go_on(self, row: Erasure, runs: RunEraser) -> None:
        if row.objects is None:
            await self.objects(row.job_id)
        if row.runs is None:
            gone = await runs.erase(row.job_id, row.flow_run_id)
            async with self._database.begin() as session:
                await service.runs_gone(session, row.job_id, gone, now=self._clock.now())
        # Once more, after the run: while it went on it may still have written.
        await self.objects(row.job_id)
        async with self._database.begin() as session:
            machines = await self._machines(session)
            await service.finish(session, row.job_id, machines, now=self._clock.now())
        log.info("%s is erased", row.job_id)

    async def _machines(self, session: AsyncSession) -> Collection[str]:
        heard = await workers.seen_since(session, self._clock.now() - GONE_AFTER)
        return [worker.name for worker in heard]
