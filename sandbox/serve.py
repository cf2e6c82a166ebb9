"""Runs the sandbox as a process of its own."""

from __future__ import annotations

from typing import Final

import uvicorn
from fastapi import FastAPI

from core.settings import SandboxSettings, Settings
from sandbox.app import create_app

# Session descriptions of a mesh fit easily; more is nonsense.
MESSAGE_BYTES: Final = 256 * 1024
# A browser whose machine vanished is noticed within the sum of these.
PING_SECONDS: Final = 3
SHUTDOWN_SECONDS: Final = 3


def server_config(app: FastAPI, settings: SandboxSettings) -> uvicorn.Config:
    """How the sandbox is served; no access log, because addresses carry guest tokens."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_level="warning",
        ws_max_size=MESSAGE_BYTES,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        BadInput: there is no admin token.
    """
    app = create_app(settings.sandbox, settings.data_dir / "cache" / "sandbox")
    uvicorn.Server(server_config(app, settings.sandbox)).run()
