"""Flow runs of a real Prefect server (AR-03, AR-13, D2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from core.dispatch.prefect import PrefectDispatcher
from core.errors import Unavailable
from core.settings import PrefectSettings
from tests.support.postgres import TestServer
from tests.support.prefect_server import AUTH, running_prefect_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

JOB = "job_01HXY1AB7M2QNTWA9YQRH5JEP6"
TAGS = [JOB, "meet", "team_1"]


@dataclass
class Prefect:
    """The server, as an operator sees it."""

    settings: PrefectSettings
    http: httpx.AsyncClient

    async def run(self, flow_run_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/flow_runs/{flow_run_id}")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def deploy(self) -> None:
        flow = (await self.http.post("/flows/", json={"name": "meeting"})).json()
        deployment = {"name": "meeting", "flow_id": flow["id"], "parameter_openapi_schema": {}}
        (await self.http.post("/deployments/", json=deployment)).raise_for_status()


@pytest.fixture(scope="module")
def prefect_settings(postgres: TestServer) -> Iterator[PrefectSettings]:
    with running_prefect_server(postgres) as settings:
        yield settings


@pytest.fixture
async def prefect(prefect_settings: PrefectSettings) -> AsyncIterator[Prefect]:
    user, _, password = AUTH.partition(":")
    async with httpx.AsyncClient(
        base_url=prefect_settings.api_url, auth=(user, password), timeout=20, trust_env=False
    ) as http:
        yield Prefect(prefect_settings, http)


async def test_a_missing_deployment_is_named_with_what_to_do(prefect: Prefect) -> None:
    async with PrefectDispatcher(prefect.settings) as dispatcher:
        with pytest.raises(Unavailable, match="meeting/meeting"):
            await dispatcher.submit(JOB, datetime.now(UTC), TAGS)


async def test_many_submits_make_one_scheduled_run_with_name_tags_and_id_only(
    prefect: Prefect,
) -> None:
    """AR-03, AR-08, AR-09."""
    await prefect.deploy()
    due = datetime.now(UTC) + timedelta(hours=1)
    async with PrefectDispatcher(prefect.settings) as dispatcher:
        ids = await asyncio.gather(*(dispatcher.submit(JOB, due, TAGS) for _ in range(8)))
    assert len(set(ids)) == 1
    run = await prefect.run(ids[0])
    assert (run["name"], sorted(run["tags"])) == (JOB, sorted(TAGS))
    assert run["parameters"] == {"job_id": JOB}
    assert run["state_type"] == "SCHEDULED"
    assert datetime.fromisoformat(run["expected_start_time"]) == due


async def test_a_run_that_has_not_started_is_cancelled_for_good(prefect: Prefect) -> None:
    """AR-13; again, or for a run nobody knows, is no error."""
    await prefect.deploy()
    async with PrefectDispatcher(prefect.settings) as dispatcher:
        due = datetime.now(UTC) + timedelta(hours=1)
        flow_run_id = await dispatcher.submit("job_2", due, ["job_2"])
        await dispatcher.cancel(flow_run_id)
        assert (await prefect.run(flow_run_id))["state_type"] == "CANCELLED"
        await dispatcher.cancel(flow_run_id)
        await dispatcher.cancel("8c2f3f3e-6d1b-4f60-9f53-0d3c44f3a0d1")


async def test_a_wrong_password_is_unavailable(prefect: Prefect) -> None:
    wrong = prefect.settings.model_copy(update={"auth": SecretStr("admin:no")})
    async with PrefectDispatcher(wrong) as dispatcher:
        with pytest.raises(Unavailable, match="401"):
            await dispatcher.submit(JOB, datetime.now(UTC), TAGS)
