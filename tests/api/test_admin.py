"""The operator's view of a machine (API-26, API-78)."""

from __future__ import annotations

import pytest

from core.jobs.lifecycle import Status
from core.jobs.models import Job
from tests.api.conftest import Api
from tests.api.credentials import ADMIN_TOKEN

pytestmark = pytest.mark.integration

OPERATOR = {"authorization": f"Bearer {ADMIN_TOKEN}"}


async def test_the_operator_sees_the_host_and_its_bots(api: Api) -> None:
    for status, platform in (
        (Status.QUEUED, "meet"),
        (Status.RECORDING, "meet"),
        (Status.RECORDING, "zoom"),
    ):
        await api.live_job(status, platform=platform)
    over = await api.book.add()
    async with api.book.database.begin() as session:
        (await session.get_one(Job, over.id)).status = Status.COMPLETED

    told = (await api.anonymous.get("/api/v1/admin/host", headers=OPERATOR)).json()
    assert told["region"] == "eu"
    assert told["bots"] == {
        "total": 3,
        "byStatus": {"queued": 1, "recording": 2},
        "byPlatform": {"meet": 2, "zoom": 1},
    }
    host = told["host"]
    assert set(host) == {
        *("cpuPercent", "loadAverage", "memoryTotalBytes", "memoryUsedBytes"),
        *("diskTotalBytes", "diskUsedBytes", "uptimeSeconds"),
    }
    assert len(host["loadAverage"]) == 3
    assert 0 < host["memoryUsedBytes"] < host["memoryTotalBytes"]
    assert 0 < host["diskUsedBytes"] <= host["diskTotalBytes"]


async def test_a_customers_key_is_refused(api: Api) -> None:
    assert (await api.live.get("/api/v1/admin/host")).status_code == 401
    assert (await api.anonymous.get("/api/v1/admin/host")).status_code == 401
