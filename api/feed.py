"""Wakes whoever watches a job, or a team, in this process: one connection a channel."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from core.clock import Clock
from core.database import JOBS_CHANNEL, Database
from core.errors import Unavailable

log = logging.getLogger(__name__)

RECONNECT_SECONDS: Final = 1


class JobFeed:
    """Tells watchers that something about a job changed; what, they read from the tables.

    Args:
        channel: what is listened to: changes of jobs, commands to their bots, or webhooks. Where
            the payload is a team's id, that is what is watched.
    """

    def __init__(self, database: Database, clock: Clock, channel: str = JOBS_CHANNEL) -> None:
        self._database = database
        self._clock = clock
        self._channel = channel
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen for as long as the block lasts."""
        task = asyncio.create_task(self._listen(), name="job feed")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextmanager
    def watch(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set on every change; the watcher clears it before it looks."""
        changed = asyncio.Event()
        self._watchers[job_id].add(changed)
        try:
            yield changed
        finally:
            self._watchers[job_id].discard(changed)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    async def _listen(self) -> None:
        while True:
            try:
                async for job_id in self._database.listen(self._channel):
                    self._wake(job_id)
            except Unavailable as exc:
                log.warning("the job feed lost its connection: %s", exc.message)
            await self._clock.sleep(RECONNECT_SECONDS)

    def _wake(self, job_id: str) -> None:
        """An empty id means that we may have missed something: wake everybody."""
        watched = [job_id] if job_id else list(self._watchers)
        for one in watched:
            for changed in self._watchers.get(one, ()):
                changed.set()
