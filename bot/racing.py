"""Waiting for the first of several things to happen."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first_of(*watchers: Coroutine[Any, Any, T]) -> T:
    """The result of the first to finish; among those that finish together, of the first given.

    The others are cancelled and waited for. What the first raises is raised.
    """
    tasks = [asyncio.create_task(watcher) for watcher in watchers]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def any_set(*events: asyncio.Event) -> None:
    """Until one of the events is set."""
    await first_of(*(_wait(event) for event in events))


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
