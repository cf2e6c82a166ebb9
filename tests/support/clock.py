"""A clock that stands still until it is told to go on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 5, 9, 14, 0, tzinfo=UTC)


class ManualClock:
    """Starts at 2026-05-09 14:00 UTC; `advance` wakes the sleepers whose time has come."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._passed = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self._passed + seconds, woken))
        await woken.wait()

    @property
    def sleeping(self) -> int:
        """How many are waiting for time to go on."""
        return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        self._passed += seconds
        for due, woken in self._sleepers:
            if due <= self._passed:
                woken.set()
        self._sleepers = [entry for entry in self._sleepers if not entry[1].is_set()]
