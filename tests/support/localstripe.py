"""localstripe, a stateful stand-in for Stripe, as a program of its own on a free loopback port."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final

import httpx

from tests.support.ports import free_port

START_SECONDS: Final = 60
# Its own command listens on every address and writes what it knows into a shared folder.
PROGRAM: Final = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.store.dump_to_disk = lambda: None
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""


@contextmanager
def running_localstripe() -> Iterator[str]:
    """Its origin."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    with subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-c", PROGRAM, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_until_up(origin, process)
            yield origin
        finally:
            process.terminate()


def _wait_until_up(origin: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{origin}/v1/customers", timeout=2, trust_env=False)
        except httpx.HTTPError:
            Event().wait(0.05)
        else:
            return
    raise RuntimeError("localstripe did not start")
