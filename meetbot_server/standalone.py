"""The parts of a stack as processes of their own, told everything by `MEETBOT_` variables alone.

`meetbot-server up` starts them on one machine; in production Compose, systemd or Kubernetes does
(`deploy/`).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from core.clock import Clock
from core.errors import BadInput, Unavailable
from core.settings import Settings
from meetbot_server import prefect_setup
from meetbot_server.environment import (
    child_environment,
    prefect_environment,
    prefect_server_environment,
    settings_environment,
)

# A Prefect server that is started at the same moment migrates its database first.
SERVER_SECONDS: Final = 300
POLL_SECONDS: Final = 1


def environment(settings: Settings) -> dict[str, str]:
    """What one of our processes with Prefect in it needs.

    Raises:
        BadInput: a setting is missing; the message names it.
    """
    _check_auth(settings)
    return child_environment(settings_environment(settings), prefect_environment(settings))


def prefect_command(settings: Settings) -> list[str]:
    """The arguments to Python that run Prefect's server."""
    port = str(settings.prefect.port)
    where = ("--host", settings.prefect.bind_host or settings.prefect.host, "--port", port)
    return ["-m", "prefect", "server", "start", *where]


def prefect_environment_of(settings: Settings) -> dict[str, str]:
    """The environment of Prefect's server.

    Raises:
        BadInput: a setting is missing; the message names it.
    """
    _check_auth(settings)
    url = prefect_database(settings)
    return child_environment(prefect_server_environment(settings, url))


def prefect_database(settings: Settings) -> str:
    """Prefect's database: `prefect`, beside ours on the same server.

    Raises:
        BadInput: ours is not set.
    """
    if settings.database_url is None:
        raise BadInput("Set MEETBOT_DATABASE_URL to the URL of a PostgreSQL database.")
    ours = urlsplit(settings.database_url.get_secret_value())
    return ours._replace(scheme="postgresql+asyncpg", path="/prefect").geturl()


async def set_up(settings: Settings, clock: Clock) -> None:
    """Wait for Prefect's server and make it ready for meetings.

    Raises:
        Unavailable: it did not answer in time.
        SetupFailed: it refused; the message says what.
    """
    _check_auth(settings)
    deadline = clock.monotonic() + SERVER_SECONDS
    while not await prefect_setup.prefect_ready(settings):
        if clock.monotonic() > deadline:
            raise Unavailable(
                f"Prefect at {settings.prefect.api_url} did not answer within {SERVER_SECONDS} s. "
                "Is `meetbot-server prefect-server` running, and MEETBOT_PREFECT__HOST its host?"
            )
        await clock.sleep(POLL_SECONDS)
    await prefect_setup.register(settings, environment(settings))


def _check_auth(settings: Settings) -> None:
    if settings.prefect.auth is None:
        raise BadInput("Set MEETBOT_PREFECT__AUTH to user:password; Prefect never runs without it.")
