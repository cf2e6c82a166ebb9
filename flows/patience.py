"""Asking the job store again while it is away: no meeting fails for a blip of the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from core.clock import Clock
from core.errors import Unavailable

log = logging.getLogger(__name__)

# Before the meeting: less than `dispatch` may take.
START_SECONDS: Final = 40.0
# After it: everything is recorded, and can wait for longer than a database needs to come back.
END_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 1.0

Answer = TypeVar("Answer")


async def answered(
    clock: Clock, ask: Callable[[], Awaitable[Answer]], seconds: float = END_SECONDS
) -> Answer:
    """What `ask` comes to, asked again for so long; it must be a thing that may be done twice.

    Raises:
        Unavailable: the job store is still away.
    """
    deadline = clock.monotonic() + seconds
    while True:
        try:
            return await ask()
        except Unavailable as error:
            if clock.monotonic() >= deadline:
                raise
            log.warning("asking again: %s", error.message)
        await clock.sleep(PAUSE_SECONDS)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel it and wait, so that no transaction of it outlives the run."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
