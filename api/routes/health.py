"""Whether this API works, and how (API-28)."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from api.dependencies import AdminDep, ServicesDep
from api.schemas.errors import ErrorOut
from api.schemas.wire import Response as WireResponse
from core.database import newest_revision, schema_revision
from core.errors import Unavailable
from core.jobs.overview import overview

router = APIRouter(tags=["admin"])


class Health(WireResponse):
    status: Literal["ok"] = "ok"
    version: str
    region: str


@router.get("/healthz", operation_id="health", responses={503: {"model": ErrorOut}})
async def health(services: ServicesDep) -> Health:
    """200 when the database answers, else 503."""
    await services.database.ping()
    return Health(version=server_version(), region=services.settings.region)


@router.get("/readyz", operation_id="ready", responses={503: {"model": ErrorOut}})
async def ready(services: ServicesDep) -> Health:
    """200 when requests can be served: the database answers and has the schema of this version.

    Prefect is not asked. Jobs are taken while it is away, and get their runs later.
    """
    async with services.database.begin() as session:
        found, wanted = await schema_revision(session), newest_revision()
    if found != wanted:
        raise Unavailable(
            f"The database's schema is {found or 'missing'}, this version needs {wanted}. Run "
            "`meetbot-server migrate`, or the version that the schema is of."
        )
    return Health(version=server_version(), region=services.settings.region)


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        401: {"model": ErrorOut},
        503: {"model": ErrorOut},
    },
)
async def metrics(_: AdminDep, services: ServicesDep) -> Response:
    """For Prometheus: this process's requests, and jobs, webhooks, uploads and workers of all."""
    async with services.database.begin() as session:
        found = await overview(session, now=services.clock.now())
    return Response(services.metrics.text(found), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def server_version() -> str:
    try:
        return version("meetbot-server")
    except PackageNotFoundError:
        return "unpackaged"
