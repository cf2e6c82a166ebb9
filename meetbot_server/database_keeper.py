"""Keeps a private PostgreSQL running for as long as its stack does (D22)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg

from core.clock import Clock
from core.errors import Unavailable
from core.postgres import PrivatePostgres

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5


@asynccontextmanager
async def kept(server: PrivatePostgres, clock: Clock) -> AsyncIterator[None]:
    """Start a started server again whenever it dies, until the block ends; then stop it."""
    keeper = asyncio.create_task(_keep(server, clock), name="keep postgres")
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await asyncio.to_thread(server.stop)


async def _keep(server: PrivatePostgres, clock: Clock) -> None:
    while True:
        await clock.sleep(LOOK_SECONDS)
        if server.alive():
            continue
        log.warning("PostgreSQL has died; starting it again")
        starting = asyncio.ensure_future(asyncio.to_thread(server.start))
        try:
            await asyncio.shield(starting)
        except (Unavailable, psycopg.Error, OSError) as error:
            # Its last processes may hold its memory for a moment longer, or it died again.
            log.warning("PostgreSQL does not start: %s", error)
        except asyncio.CancelledError:
            # A server that is just starting must be stopped, too.
            await asyncio.gather(starting, return_exceptions=True)
            raise
