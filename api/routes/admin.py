"""What the operator asks for (API-26, API-78)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import psutil
from fastapi import APIRouter
from pydantic import Field
from sqlmodel import col, func, select

from api.dependencies import AdminDep, ServicesDep
from api.routes.health import server_version
from api.schemas.errors import ErrorOut
from api.schemas.wire import Response
from core.jobs.lifecycle import TERMINAL
from core.jobs.models import Job

router = APIRouter(
    prefix="/api/v1/admin",
    tags=["admin"],
    responses={code: {"model": ErrorOut} for code in (401, 500, 503)},
)


class Host(Response):
    """The machine that answers; the disk is the one with the data folder."""

    cpu_percent: float
    load_average: Annotated[list[float], Field(min_length=3, max_length=3)]
    memory_total_bytes: int
    memory_used_bytes: int
    disk_total_bytes: int
    disk_used_bytes: int
    uptime_seconds: int


class Bots(Response):
    """Jobs that are not over, of all teams and in both modes."""

    total: int
    by_status: dict[str, int]
    by_platform: dict[str, int]


class HostMetrics(Response):
    region: str
    version: str
    host: Host
    bots: Bots


@router.get("/host", operation_id="getHostMetrics")
async def host(_: AdminDep, services: ServicesDep) -> HostMetrics:
    """How the machine of this API is, and how many bots there are."""
    statement = (
        select(Job.status, Job.platform, func.count())
        .where(col(Job.status).not_in(TERMINAL))
        .group_by(col(Job.status), col(Job.platform))
    )
    async with services.database.begin() as session:
        counted = (await session.exec(statement)).all()
    by_status: dict[str, int] = {}
    by_platform: dict[str, int] = {}
    for status, platform, number in counted:
        by_status[str(status)] = by_status.get(str(status), 0) + number
        by_platform[platform] = by_platform.get(platform, 0) + number
    return HostMetrics(
        region=services.settings.region,
        version=server_version(),
        host=await asyncio.to_thread(_host, services.settings.data_dir),
        bots=Bots(total=sum(by_status.values()), by_status=by_status, by_platform=by_platform),
    )


def _host(folder: Path) -> Host:
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(folder.absolute()))
    return Host(
        # Over a moment of its own: without one it is since somebody last asked.
        cpu_percent=psutil.cpu_percent(interval=0.1),
        load_average=list(psutil.getloadavg()),
        memory_total_bytes=memory.total,
        memory_used_bytes=memory.used,
        disk_total_bytes=disk.total,
        disk_used_bytes=disk.used,
        uptime_seconds=int(time.time() - psutil.boot_time()),
    )
