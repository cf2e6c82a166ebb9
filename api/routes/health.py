"""Whether this API works (API-28)."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from fastapi import APIRouter

from api.dependencies import ServicesDep
from api.schemas.errors import ErrorOut
from api.schemas.wire import Response

router = APIRouter(tags=["admin"])


class Health(Response):
    status: Literal["ok"] = "ok"
    version: str
    region: str


@router.get("/healthz", operation_id="health", responses={503: {"model": ErrorOut}})
async def health(services: ServicesDep) -> Health:
    """200 when the database answers, else 503."""
    await services.database.ping()
    return Health(version=server_version(), region=services.settings.region)


def server_version() -> str:
    try:
        return version("meetbot-server")
    except PackageNotFoundError:
        return "unpackaged"
