"""How many requests teams make: counted here, and told to the other processes every second.

No request waits for it, and reads stay reads. Together, processes may let through what each of
them takes in a second more than the limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core import rate_limits
from core.clock import Clock
from core.database import Database
from core.errors import Unavailable
from core.rate_limits import Count

log = logging.getLogger(__name__)

TELL_SECONDS: Final = 1.0
# Above this, subjects that were quiet for a while are forgotten.
MOST_SUBJECTS: Final = 10_000


@dataclass
class _Entry:
    told: Count
    told_at: float
    # Let through, and not told yet.
    pending: int = 0
    telling: bool = False


class RequestMeter:
    """Counts requests by subject against one limit a minute."""

    def __init__(self, database: Database, clock: Clock, limit: int) -> None:
        self._database = database
        self._clock = clock
        self._limit = limit
        self._entries: dict[str, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ends what is being told when the block ends."""
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def count(self, subject: str) -> None:
        """Count one request.

        Raises:
            RateLimited: `subject` has used up its limit; refused requests do not count.
        """
        now, moment = self._clock.now(), self._clock.monotonic()
        entry = self._entries.get(subject)
        if entry is None:
            self._forget(moment)
            entry = self._entries[subject] = _Entry(Count(now), moment - TELL_SECONDS)
        known = entry.told.at(now)
        known = Count(known.started_at, known.count + entry.pending, known.previous)
        over = known.used(now) + 1 > self._limit + rate_limits.ROUNDING
        if not over:
            entry.pending += 1
        if moment - entry.told_at >= TELL_SECONDS and not entry.telling:
            entry.telling = True
            task = asyncio.create_task(self._tell(subject, entry), name="request meter")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if over:
            raise rate_limits.refused(known, self._limit, now)

    async def settled(self) -> None:
        """When all that has to be told by now is told."""
        await asyncio.gather(*self._tasks)

    async def _tell(self, subject: str, entry: _Entry) -> None:
        number, entry.pending = entry.pending, 0
        entry.told_at = self._clock.monotonic()
        now: datetime = self._clock.now()
        # Until the others' numbers are here, ours stand for them.
        before = entry.told.at(now)
        entry.told = Count(before.started_at, before.count + number, before.previous)
        try:
            async with self._database.begin() as session:
                entry.told = await rate_limits.add(session, subject, number, now=now)
        except Unavailable as exc:
            # What was counted here still holds here.
            log.warning("requests are not counted for the other processes: %s", exc.message)
        finally:
            entry.telling = False

    def _forget(self, moment: float) -> None:
        if len(self._entries) < MOST_SUBJECTS:
            return
        old = moment - 2 * rate_limits.MINUTE.total_seconds()
        self._entries = {
            subject: entry
            for subject, entry in self._entries.items()
            if entry.told_at > old or entry.pending
        }
