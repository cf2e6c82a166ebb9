"""A real Prefect server with auth, on the session's PostgreSQL, as the product runs it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx
from pydantic import SecretStr

from core.settings import PrefectSettings
from tests.support.ports import free_port
from tests.support.postgres import TestServer

AUTH = "admin:a-password-of-the-tests"
# Its migrations take 7 to 10 s on a quiet machine.
START_SECONDS = 120


@contextmanager
def running_prefect_server(postgres: TestServer) -> Iterator[PrefectSettings]:
    """The settings with which the server is reached."""
    settings = PrefectSettings(port=free_port(), auth=SecretStr(AUTH))
    url = postgres.url(postgres.create_database()).get_secret_value()
    with tempfile.TemporaryDirectory(prefix="mbprefect-") as home:
        variables = {
            "PREFECT_HOME": home,
            "PREFECT_API_DATABASE_CONNECTION_URL": url.replace("+psycopg", "+asyncpg"),
            "PREFECT_SERVER_API_AUTH_STRING": AUTH,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "WARNING",
        }
        start = ["prefect", "server", "start", "--host", settings.host]
        command = ["env", *(f"{name}={value}" for name, value in variables.items())]
        command += [sys.executable, "-m", *start, "--port", str(settings.port)]
        log = Path(home) / "server.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(  # noqa: S603 - our own arguments
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            ) as process,
        ):
            try:
                _wait_until_up(settings, process, log)
                yield settings
            finally:
                process.terminate()


def _wait_until_up(settings: PrefectSettings, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    user, _, password = AUTH.partition(":")
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = httpx.get(
                f"{settings.api_url}/health", auth=(user, password), timeout=2, trust_env=False
            )
            if answer.is_success:
                return
        except httpx.HTTPError:
            pass
        Event().wait(0.2)
    raise RuntimeError(f"Prefect did not start: {log.read_text(errors='replace')[-2000:]}")
