"""What the processes of a stack are told: settings as environment variables, and Prefect's own.

The supervisor composes it once; every child reads it back with `Settings()`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from core.settings import Settings


def settings_environment(settings: Settings) -> dict[str, str]:
    """`settings` as the variables that make an equal `Settings()` in a child process."""
    return dict(_flatten("MEETBOT", settings))


def prefect_environment(settings: Settings) -> dict[str, str]:
    """What Prefect's client and worker read from the environment."""
    auth = settings.prefect.auth
    if auth is None:
        raise ValueError("MEETBOT_PREFECT__AUTH is not set; Prefect never runs without auth (D19)")
    return {
        "PREFECT_HOME": str((settings.data_dir / "prefect").absolute()),
        "PREFECT_API_URL": settings.prefect.api_url,
        "PREFECT_API_AUTH_STRING": auth.get_secret_value(),
        "PREFECT_WORKER_QUERY_SECONDS": "0.25",
        "PREFECT_WORKER_PREFETCH_SECONDS": "10",
        # The least that Prefect allows; the zombie automation builds on it.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def prefect_server_environment(settings: Settings, database_url: str) -> dict[str, str]:
    """The Prefect server's own settings: auth, its own origin only, PostgreSQL (D2, D19)."""
    client = prefect_environment(settings)
    return client | {
        "PREFECT_SERVER_API_AUTH_STRING": client["PREFECT_API_AUTH_STRING"],
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": settings.prefect.ui_url,
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url,
        "PREFECT_UI_API_URL": settings.prefect.api_url,
        # Runs are planned two minutes ahead, not an hour: fewer are late after a night without us.
        "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT2M",
        # We use no blocks; registering them costs seconds of every start.
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    }


def child_environment(*parts: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without its own settings, and `parts` over it."""
    base = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - children need PATH, HOME, proxies
        if not name.startswith(("MEETBOT_", "PREFECT_"))
    }
    # Playwright's driver keeps less garbage: 20 MiB a bot.
    base.setdefault("NODE_OPTIONS", "--max-semi-space-size=1")
    # Children import our packages from wherever this process did.
    base["PYTHONPATH"] = str(Path(__file__).parent.parent)
    for part in parts:
        base |= part
    return base


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case BaseModel():
            separator = "_" if prefix == "MEETBOT" else "__"
            for name in type(value).model_fields:
                yield from _flatten(f"{prefix}{separator}{name.upper()}", getattr(value, name))
        case SecretStr():
            yield prefix, value.get_secret_value()
        case tuple():
            yield prefix, ",".join(dict(_flatten("", item))[""] for item in value)
        case dict():
            yield prefix, json.dumps({k: dict(_flatten("", v))[""] for k, v in value.items()})
        case bool():
            yield prefix, str(value).lower()
        case Path():
            yield prefix, str(value.absolute())
        case _:
            yield prefix, str(value)
