"""What this process does besides answering: what has served its time is cleared away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from api.output_media import tidy
from api.services import Services
from core.accounts.cli_logins import forget_cli_logins
from core.accounts.magic_links import forget_links
from core.accounts.sessions import forget_sessions
from core.billing.notices import forget_notices
from core.errors import Unavailable
from core.idempotency import forget_requests
from core.jobs.ingest import forget
from core.rate_limits import forget_windows

log = logging.getLogger(__name__)

KEEP_SECONDS: Final = 5
FORGET_SECONDS: Final = 600


@asynccontextmanager
async def keeping(services: Services) -> AsyncIterator[None]:
    """Keep house in the background for as long as the block lasts."""
    tasks = [
        asyncio.create_task(_every(services, seconds, chore), name=chore.__name__)
        for seconds, chore in (
            (KEEP_SECONDS, tidy),
            (FORGET_SECONDS, _forget),
        )
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _every(
    services: Services, seconds: float, chore: Callable[[Services], Awaitable[None]]
) -> None:
    while True:
        await services.clock.sleep(seconds)
        try:
            await chore(services)
        except Unavailable as exc:
            log.warning("housekeeping has to wait: %s", exc.message)
        except Exception:
            # One bad round must not end all later ones.
            log.exception("housekeeping failed")


async def _forget(services: Services) -> None:
    now = services.clock.now()
    async with services.database.begin() as session:
        await forget(session, now=now)
        await forget_sessions(session, now=now)
        await forget_links(session, now=now)
        await forget_cli_logins(session, now=now)
        await forget_windows(session, now=now)
        await forget_requests(session, now=now)
        await forget_notices(session, now=now)
