"""A Prefect server made ready: queues and automation, again and again (D10, D11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from core.dispatch.queues import QUEUE_PRIORITIES
from core.settings import PrefectSettings, Settings
from meetbot_server import prefect_setup
from meetbot_server.environment import prefect_environment
from meetbot_server.prefect_automations import HEARTBEAT, SILENCE_SECONDS, install, zombies

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

# The least that Prefect's proactive triggers allow.
QUICK = 10


@pytest.fixture
def settings(prefect_server: PrefectSettings, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, prefect=prefect_server)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with prefect_setup.prefect_client(settings) as opened:
        yield opened


async def automations(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.post("/automations/filter", json={})
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


async def test_registering_twice_makes_everything_once(
    client: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed: list[object] = []

    async def deploy(environment: object) -> None:
        deployed.append(environment)

    # `prefect deploy` itself runs in every end-to-end test; it takes ten seconds of imports.
    monkeypatch.setattr(prefect_setup, "_deploy", deploy)
    for _ in range(2):
        await prefect_setup.register(settings, {})
    assert deployed
    pool = settings.prefect.work_pool
    queues = (await client.post(f"/work_pools/{pool}/queues/filter", json={})).json()
    priorities = {queue["name"]: queue["priority"] for queue in queues}
    assert {name: priorities[name] for name in QUEUE_PRIORITIES} == QUEUE_PRIORITIES
    assert len(await automations(client)) == 1


async def test_an_automation_that_somebody_changed_is_put_right(
    client: httpx.AsyncClient,
) -> None:
    await install(client, zombies())
    assert await install(client, zombies()) is False
    (mine,) = await automations(client)
    (await client.patch(f"/automations/{mine['id']}", json={"enabled": False})).raise_for_status()
    assert await install(client, zombies()) is True
    (mine,) = await automations(client)
    assert mine["enabled"] is True
    # One that was made twice, by two machines that were set up at the same moment.
    (await client.post("/automations/", json=zombies())).raise_for_status()
    assert await install(client, zombies()) is True
    assert len(await automations(client)) == 1


async def test_a_run_whose_heartbeats_stop_is_marked_crashed(client: httpx.AsyncClient) -> None:
    """A worker and its meeting die together: nobody is left to say so."""
    await install(client, zombies(QUICK))
    flow = (await client.post("/flows/", json={"name": "meeting"})).json()
    run = (
        await client.post("/flow_runs/", json={"flow_id": flow["id"], "state": {"type": "RUNNING"}})
    ).json()
    # The automation is known to the triggers a moment after it was stored.
    async with asyncio.timeout(180):
        while (await client.get(f"/flow_runs/{run['id']}")).json()["state_type"] != "CRASHED":
            await beat_once(client, run["id"])
            await silence(client, run["id"])
    state = (await client.get(f"/flow_runs/{run['id']}")).json()["state"]
    assert "has not been heard of" in state["message"]


async def beat_once(client: httpx.AsyncClient, run_id: str) -> None:
    event = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": HEARTBEAT,
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
        "related": [],
        "payload": {},
    }
    (await client.post("/events", json=[event])).raise_for_status()


async def silence(client: httpx.AsyncClient, run_id: str) -> None:
    """Until it is crashed, or no longer than that should take."""
    for _ in range(QUICK * 6):
        if (await client.get(f"/flow_runs/{run_id}")).json()["state_type"] == "CRASHED":
            return
        await asyncio.sleep(0.5)


def test_heartbeats_are_sent_often_enough_for_the_automation(settings: Settings) -> None:
    every = int(prefect_environment(settings)["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert 2 * every < SILENCE_SECONDS
