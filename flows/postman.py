"""Sends a job's webhooks the moment their event is committed (design.md D9)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import Self

from core.errors import MeetbotError
from flows.resources import Resources

log = logging.getLogger(__name__)


class Postman:
    """Delivers in the background while the block runs; retries are the drain's business."""

    def __init__(self, resources: Resources, job_id: str) -> None:
        self._resources = resources
        self._job_id = job_id
        self._due = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._rounds(), name="postman")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Something was committed."""
        self._due.set()

    async def deliver(self) -> None:
        """Send what is due for the job now; returns when it was sent."""
        async with self._turn:
            await self._resources.courier.deliver_job(self._job_id)

    async def _rounds(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self.deliver()
            except MeetbotError as error:
                log.warning("webhooks wait for the next round: %s", error.message)
