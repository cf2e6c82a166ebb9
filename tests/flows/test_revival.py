"""Bringing flow runs back, on a real Prefect server: what the watcher's tests fake (D10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from core.errors import Unavailable
from core.settings import PrefectSettings
from flows.revival import PrefectRevival, Standing
from tests.support.ports import free_port
from tests.support.prefect_server import AUTH

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
async def http(prefect_server: PrefectSettings) -> AsyncIterator[httpx.AsyncClient]:
    user, _, password = AUTH.partition(":")
    async with httpx.AsyncClient(
        base_url=prefect_server.api_url, auth=(user, password), timeout=20, trust_env=False
    ) as client:
        flow = (await client.post("/flows/", json={"name": "meeting"})).json()
        await client.post("/work_pools/", json={"name": "revivals", "type": "meetbot"})
        deployment = {
            "name": "meeting",
            "flow_id": flow["id"],
            "work_pool_name": "revivals",
            "parameter_openapi_schema": {},
        }
        (await client.post("/deployments/", json=deployment)).raise_for_status()
        yield client


@pytest.fixture
async def runs(prefect_server: PrefectSettings) -> AsyncIterator[PrefectRevival]:
    async with PrefectRevival(prefect_server) as revival:
        yield revival


async def in_state(http: httpx.AsyncClient, runs: PrefectRevival, state: str) -> str:
    """A run that got into a state as its process, its worker or the UI would bring it there."""
    due = datetime.now(UTC) + timedelta(hours=1)
    run_id = await runs.submit(f"job_{uuid4()}", due, ["job"])
    if state != "SCHEDULED":
        answer = await http.post(
            f"/flow_runs/{run_id}/set_state", json={"state": {"type": state}, "force": True}
        )
        answer.raise_for_status()
    return run_id


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ("SCHEDULED", Standing.WAITING),
        ("PENDING", Standing.STOPPED),
        ("RUNNING", Standing.STOPPED),
        ("CRASHED", Standing.STOPPED),
        ("FAILED", Standing.STOPPED),
        ("COMPLETED", Standing.STOPPED),
        ("CANCELLING", Standing.CANCELLED),
        ("CANCELLED", Standing.CANCELLED),
    ],
)
async def test_a_run_starts_again_from_every_state(
    http: httpx.AsyncClient, runs: PrefectRevival, state: str, standing: Standing
) -> None:
    run_id = await in_state(http, runs, state)
    assert await runs.standing(run_id) is standing
    await runs.schedule(run_id, "The process died.")
    run = (await http.get(f"/flow_runs/{run_id}")).json()
    assert (run["state_type"], run["state"]["message"]) == ("SCHEDULED", "The process died.")
    due = datetime.fromisoformat(run["state"]["state_details"]["scheduled_time"])
    assert abs(due - datetime.now(UTC)) < timedelta(seconds=20)


async def test_a_lost_run_is_known_to_be_lost(runs: PrefectRevival) -> None:
    assert await runs.standing(str(uuid4())) is Standing.LOST


async def test_a_run_that_is_given_up_has_failed(
    http: httpx.AsyncClient, runs: PrefectRevival
) -> None:
    run_id = await in_state(http, runs, "RUNNING")
    await runs.give_up(run_id, "internal_error: died too often")
    run = (await http.get(f"/flow_runs/{run_id}")).json()
    assert (run["state_type"], run["state"]["message"]) == (
        "FAILED",
        "internal_error: died too often",
    )


async def test_a_prefect_that_is_away_says_nothing_about_a_run() -> None:
    away = PrefectSettings(port=free_port())
    async with PrefectRevival(away) as revival:
        with pytest.raises(Unavailable):
            await revival.standing(str(uuid4()))
