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

from core.dispatch.base import RunPhase
from core.dispatch.prefect import PrefectDispatcher
from core.dispatch.queues import NOW, QUEUE_PRIORITIES, SCHEDULED
from core.errors import Unavailable
from core.settings import PrefectSettings
from tests.support.ports import free_port
from tests.support.postgres import TestServer
from tests.support.prefect_server import AUTH, running_prefect_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

JOB = "job_01HXY1AB7M2QNTWA9YQRH5JEP6"
TAGS = [JOB, "meet", "team_1"]
HOUR = timedelta(hours=1)
STATES = (
    *("SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "CRASHED", "FAILED"),
    *("CANCELLING", "CANCELLED"),
)


@dataclass
class Prefect:
    """The server, as an operator sees it."""

    settings: PrefectSettings
    http: httpx.AsyncClient

    async def run(self, flow_run_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/flow_runs/{flow_run_id}")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def set_state(self, flow_run_id: str, state: str) -> None:
        answer = await self.http.post(
            f"/flow_runs/{flow_run_id}/set_state", json={"state": {"type": state}, "force": True}
        )
        answer.raise_for_status()

    async def deploy(self) -> None:
        flow = (await self.http.post("/flows/", json={"name": "meeting"})).json()
        await self.http.post("/work_pools/", json={"name": "meetings", "type": "meetbot"})
        for name in QUEUE_PRIORITIES:
            made = await self.http.post("/work_pools/meetings/queues", json={"name": name})
            assert made.status_code in (201, 409), made.text
        deployment = {
            "name": "meeting",
            "flow_id": flow["id"],
            "parameter_openapi_schema": {},
            "work_pool_name": "meetings",
        }
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


async def test_urgent_runs_and_later_ones_wait_in_queues_of_their_own(prefect: Prefect) -> None:
    """D11: whoever wants a bot now is not behind everybody who begins at nine."""
    await prefect.deploy()
    async with PrefectDispatcher(prefect.settings) as dispatcher:
        now = await dispatcher.submit("job_now", datetime.now(UTC), ["job_now"])
        later = await dispatcher.submit("job_at_nine", datetime.now(UTC) + HOUR, ["job_at_nine"])
    assert (await prefect.run(now))["work_queue_name"] == NOW
    assert (await prefect.run(later))["work_queue_name"] == SCHEDULED


async def test_runs_are_seen_as_the_repair_needs_them(prefect: Prefect) -> None:
    """D2: `MemoryRuns` of the repair's tests behaves like this."""
    await prefect.deploy()
    due = datetime.now(UTC) + HOUR
    states = {"PENDING": RunPhase.ACTIVE, "RUNNING": RunPhase.ACTIVE}
    states |= {"CANCELLED": RunPhase.CANCELLED, "CANCELLING": RunPhase.CANCELLED}
    states |= dict.fromkeys(("COMPLETED", "FAILED", "CRASHED"), RunPhase.ENDED)
    async with PrefectDispatcher(prefect.settings) as dispatcher:
        ids = {
            state: await dispatcher.submit(f"job_{state}", due, ["job"])
            for state in ("SCHEDULED", *states)
        }
        for state in states:
            await prefect.set_state(ids[state], state)
        lost = await dispatcher.submit("job_lost", due, ["job"])
        (await prefect.http.delete(f"/flow_runs/{lost}")).raise_for_status()
        seen = await dispatcher.look([*ids.values(), lost])
        assert {state: seen[ids[state]].phase for state in states} == states
        waiting = seen[ids["SCHEDULED"]]
        assert (waiting.phase, waiting.due, waiting.starts) == (RunPhase.WAITING, due, 0)
        assert lost not in seen
        # Its key is free again.
        assert await dispatcher.submit("job_lost", due, ["job"]) != lost
        assert await dispatcher.look([]) == {}


async def test_a_run_is_moved_from_whatever_state_it_is_in(prefect: Prefect) -> None:
    """AR-08: workers are handed it by its new time."""
    await prefect.deploy()
    later = datetime.now(UTC) + 2 * HOUR
    async with PrefectDispatcher(prefect.settings) as dispatcher:
        for state in STATES:
            run_id = await dispatcher.submit(f"job_moved_{state}", later - HOUR, ["job"])
            if state != "SCHEDULED":
                await prefect.set_state(run_id, state)
            await dispatcher.move(run_id, later, "The process died.")
            assert (await prefect.run(run_id))["state"]["message"] == "The process died."
            seen = (await dispatcher.look([run_id]))[run_id]
            assert (seen.phase, seen.due) == (RunPhase.WAITING, later)
            handed = await prefect.http.post(
                "/work_pools/meetings/get_scheduled_flow_runs",
                json={"scheduled_before": (later - timedelta(minutes=1)).isoformat()},
            )
            assert run_id not in [entry["flow_run"]["id"] for entry in handed.json()]


async def test_a_run_that_is_given_up_has_failed(prefect: Prefect) -> None:
    """D10: even where Prefect takes it for completed."""
    await prefect.deploy()
    async with PrefectDispatcher(prefect.settings) as dispatcher:
        for state in ("RUNNING", "COMPLETED"):
            run_id = await dispatcher.submit(f"job_given_up_{state}", datetime.now(UTC), ["job"])
            await prefect.set_state(run_id, state)
            await dispatcher.fail(run_id, "internal_error: died too often")
            run = await prefect.run(run_id)
            assert run["state_type"] == "FAILED"
            assert run["state"]["message"] == "internal_error: died too often"


async def test_a_prefect_that_is_away_says_nothing_about_a_run() -> None:
    async with PrefectDispatcher(PrefectSettings(port=free_port())) as dispatcher:
        with pytest.raises(Unavailable):
            await dispatcher.look(["8c2f3f3e-6d1b-4f60-9f53-0d3c44f3a0d1"])
