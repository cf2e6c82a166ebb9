"""Waiting for a bot's answer to a command."""

from __future__ import annotations

import asyncio
from typing import Final

from api.services import Services
from core.jobs.models import JobCommand

# The net under the notifications, which can be lost with a connection.
LOOK_SECONDS: Final = 2.0


async def until_settled(
    services: Services, command: JobCommand, seconds: float
) -> JobCommand | None:
    """The command once it is settled; None when it is not within `seconds`."""
    deadline = services.clock.monotonic() + seconds
    with services.feed.watch(command.job_id) as changed:
        while True:
            changed.clear()
            async with services.database.begin() as session:
                found = await session.get_one(JobCommand, command.id)
            if found.settled_at is not None:
                return found
            left = deadline - services.clock.monotonic()
            if left <= 0:
                return None
            try:
                await asyncio.wait_for(changed.wait(), min(left, LOOK_SECONDS))
            except TimeoutError:
                continue
