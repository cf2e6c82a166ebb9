"""How bots get into Zoom meetings (PL-25)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeGuard, get_args

from pydantic import BaseModel, SecretStr

ZoomEngine = Literal["web", "sdk"]


class ZoomSettings(BaseModel):
    """The engine, and the credentials of the app that the SDK signs in as.

    Without them, or without the package, bots use the web client whatever was asked for.
    """

    engine: ZoomEngine = "web"
    client_id: str | None = None
    client_secret: SecretStr | None = None
    # How long the host has to let the bot record; the SDK asks them.
    permission_seconds: int = 120


def asked_engine(metadata: Mapping[str, Any]) -> object:
    """What `metadata.zoom.engine` holds: anything, until `is_engine` has looked at it."""
    zoom = metadata.get("zoom")
    return zoom.get("engine") if isinstance(zoom, Mapping) else None


def is_engine(value: object) -> TypeGuard[ZoomEngine]:
    return value in get_args(ZoomEngine)
