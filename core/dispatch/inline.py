"""Runs jobs as tasks of this process: for tests, and for one-process set-ups."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from core.clock import Clock

log = logging.getLogger(__name__)


class InlineDispatcher:
    """Leaving its block cancels what still runs.

    Args:
        run: what is done with a job id; it settles its job itself, whatever happens.
    """

    def __init__(self, run: Callable[[str], Awaitable[None]], clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def submit(self, job_id: str, due: datetime, tags: Sequence[str]) -> str:  # noqa: ARG002
        flow_run_id = f"inline-{job_id}"
        if flow_run_id not in self._tasks:
            task = asyncio.create_task(self._run_when_due(job_id, due), name=flow_run_id)
            self._tasks[flow_run_id] = task
        return flow_run_id

    async def cancel(self, flow_run_id: str) -> None:
        task = self._tasks.get(flow_run_id)
        if task is not None:
            task.cancel()

    async def settled(self) -> None:
        """Wait until everything submitted so far has ended."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run_when_due(self, job_id: str, due: datetime) -> None:
        wait = (due - self._clock.now()).total_seconds()
        if wait > 0:
            await self._clock.sleep(wait)
        try:
            await self._run(job_id)
        except Exception:
            log.exception("job %s ended with an error", job_id)
            raise
