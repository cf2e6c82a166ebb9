"""The API behind a real socket, in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from tests.support.ports import loopback

STOP_SECONDS = 10


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They belong to pytest."""
        yield


@asynccontextmanager
async def running_api(app: FastAPI, port: int = 0) -> AsyncIterator[str]:
    """Serve `app`, whose lifespan the caller runs; the origin. Open connections are broken off."""
    listener = loopback(port)
    listener.listen()
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_level="warning",
            access_log=False,
            ws_max_size=1 << 20,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="api server")
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, STOP_SECONDS)
        listener.close()
