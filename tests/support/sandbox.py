"""A sandbox server for tests: its own thread and event loop, a free loopback port."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from pydantic import SecretStr

from core.settings import SandboxSettings
from sandbox.app import create_app
from sandbox.client import SandboxClient
from sandbox.serve import server_config
from tests.support.ports import loopback

# Encoding the cameras takes seconds, so all runs on a machine share them.
CAMERA_CACHE = Path(tempfile.gettempdir()) / "meetbot-sandbox-cameras"
START_SECONDS = 20
STOP_SECONDS = 10


@dataclass(frozen=True)
class SandboxServer:
    """A running server. `stop()` makes it vanish as a crash would, for tests of lost servers."""

    origin: str
    admin_token: SecretStr
    _server: uvicorn.Server
    _thread: threading.Thread

    def client(self) -> SandboxClient:
        """A new client, for `async with` in the test's own event loop."""
        return SandboxClient(self.origin, self.admin_token)

    def wait_until_answering(self) -> None:
        """The listening socket exists before the server: the first answer comes when it is up."""
        httpx.get(f"{self.origin}/healthz", timeout=START_SECONDS).raise_for_status()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        assert not self._thread.is_alive(), "the sandbox did not stop in time"


@contextmanager
def running_sandbox(max_rooms: int = 50) -> Iterator[SandboxServer]:
    """A sandbox on a free port until the block is left."""
    listener = loopback()
    listener.listen()
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    token = SecretStr("sandbox-admin-token")
    settings = SandboxSettings(origin=origin, admin_token=token, max_rooms=max_rooms)
    server = uvicorn.Server(server_config(create_app(settings, CAMERA_CACHE), settings))
    thread = threading.Thread(
        target=lambda: server.run(sockets=[listener]), name="sandbox", daemon=True
    )
    thread.start()
    running = SandboxServer(origin, token, server, thread)
    running.wait_until_answering()
    try:
        yield running
    finally:
        running.stop()
        listener.close()
