"""Runs, logs and artifacts of a job in a real Prefect server, and their end (MF-22)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from core.dispatch.base import RunData
from core.dispatch.prefect import PrefectDispatcher
from core.dispatch.run_data import tag_of
from core.errors import Unavailable
from core.settings import PrefectSettings
from tests.support.prefect_server import AUTH

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

JOB = "job_01HXY1AB7M2QNTWA9YQRH5ERAS"
OTHER = "job_01HXY1AB7M2QNTWA9YQRH5STAY"


async def made(http: httpx.AsyncClient, name: str, state: str, *tags: str) -> str:
    """A run with a task, a line of log and an artifact."""
    flow = (await http.post("/flows/", json={"name": "erased"})).json()["id"]
    run = await http.post(
        "/flow_runs/", json={"name": name, "flow_id": flow, "state": {"type": state}, "tags": tags}
    )
    run_id: str = run.raise_for_status().json()["id"]
    task = {"task_key": "t", "dynamic_key": "0", "flow_run_id": run_id}
    (await http.post("/task_runs/", json=task)).raise_for_status()
    line = {
        "name": "prefect",
        "level": 20,
        "message": "hello",
        "timestamp": datetime.now(UTC).isoformat(),
        "flow_run_id": run_id,
    }
    (await http.post("/logs/", json=[line, line])).raise_for_status()
    artifact = {"key": "result", "type": "markdown", "data": "x", "flow_run_id": run_id}
    (await http.post("/artifacts/", json=artifact)).raise_for_status()
    return run_id


async def test_everything_of_a_job_goes_and_the_others_stay(
    prefect_server: PrefectSettings,
) -> None:
    user, _, password = AUTH.partition(":")
    async with (
        httpx.AsyncClient(
            base_url=prefect_server.api_url, auth=(user, password), timeout=20, trust_env=False
        ) as http,
        PrefectDispatcher(prefect_server) as runs,
    ):
        assert await runs.erase(JOB, None) == RunData()
        run_id, other = await made(http, JOB, "COMPLETED"), await made(http, OTHER, "RUNNING")
        # A later transcript has a run of its own.
        later = await made(http, "trq_1", "COMPLETED", tag_of(JOB))
        with pytest.raises(Unavailable, match="not over"):
            await runs.erase(OTHER, other)
        # Lines of log are removed in the background: the first look may still find some.
        found: list[RunData] = []
        async with asyncio.timeout(60):
            while not found or found[-1] != RunData():
                try:
                    found.append(await runs.erase(JOB, run_id))
                except Unavailable:
                    continue
        for gone in (run_id, later):
            assert (await http.get(f"/flow_runs/{gone}")).status_code == 404
        for kind, chosen in (
            ("logs", {"logs": {"flow_run_id": {"any_": [run_id]}}}),
            ("artifacts", {"artifacts": {"flow_run_id": {"any_": [run_id]}}}),
            ("task_runs", {"flow_runs": {"id": {"any_": [run_id]}}}),
        ):
            assert (await http.post(f"/{kind}/filter", json=chosen)).json() == [], kind
        kept = {"logs": {"flow_run_id": {"any_": [other]}}}
        assert len((await http.post("/logs/filter", json=kept)).json()) == 2
