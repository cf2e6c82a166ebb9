"""Several workers on one Prefect server: each run is taken once (D11, D1)."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from core.dispatch.prefect import PrefectDispatcher
from core.dispatch.queues import machine_queue
from core.settings import PrefectSettings
from flows.forks import MeetingForks
from flows.worker import MeetingWorker
from tests.flows.deaths import NotedDeaths
from tests.support.prefect_server import AUTH

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

RUNS = 8
PROCESSES = multiprocessing.get_context("forkserver")


class Counting(MeetingForks):
    """Counts the runs that are started, and ends each at once."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[str] = []
        self.uploads: list[str] = []

    def start(self, flow_run: FlowRun) -> BaseProcess:
        self.started.append(flow_run.name)
        return self._end()

    def start_uploads(self, flow_run: FlowRun) -> BaseProcess:
        self.uploads.append(flow_run.name)
        return self._end()

    def _end(self) -> BaseProcess:
        process = PROCESSES.Process(target=os._exit, args=(0,))
        process.start()
        return process


@pytest.fixture
async def deployed(prefect_server: PrefectSettings) -> AsyncIterator[PrefectSettings]:
    """With the work pool and both deployments that workers fork for."""
    prefect = prefect_server
    user, _, password = AUTH.partition(":")
    auth = (user, password)
    async with httpx.AsyncClient(base_url=prefect.api_url, auth=auth, timeout=20) as http:
        await http.post("/work_pools/", json={"name": "meetings", "type": "meetbot"})
        for name in ("meeting", "uploads"):
            flow = (await http.post("/flows/", json={"name": name})).json()
            deployment = {
                "name": name,
                "flow_id": flow["id"],
                "work_pool_name": "meetings",
                "parameter_openapi_schema": {},
            }
            (await http.post("/deployments/", json=deployment)).raise_for_status()
    with temporary_settings({PREFECT_API_URL: prefect.api_url, PREFECT_API_AUTH_STRING: AUTH}):
        yield prefect


async def cancel(job_id: str) -> None:
    raise AssertionError(f"{job_id} is cancelled")


async def test_each_run_is_taken_once_and_a_machines_own_work_by_that_machine(
    deployed: PrefectSettings,
) -> None:
    forks = {name: Counting() for name in ("bots-1", "bots-2")}
    async with AsyncExitStack() as stack:
        dispatcher = await stack.enter_async_context(PrefectDispatcher(deployed))
        workers = [
            await stack.enter_async_context(
                MeetingWorker(
                    work_pool_name="meetings",
                    name=name,
                    forks=fork,
                    cancel_job=cancel,
                    deaths=NotedDeaths(),
                )
            )
            for name, fork in forks.items()
        ]
        now = datetime.now(UTC)
        jobs = [f"job_{number}" for number in range(RUNS)]
        await asyncio.gather(*(dispatcher.submit(job, now, [job]) for job in jobs))
        await dispatcher.start(
            "uploads/uploads", {"machine": "bots-2"}, queue=machine_queue("bots-2"), key="mine"
        )

        def all_started() -> bool:
            started = sum(len(fork.started) for fork in forks.values())
            return started >= RUNS and bool(forks["bots-2"].uploads)

        async with asyncio.timeout(120):
            while not all_started():
                await asyncio.gather(*(worker.get_and_submit_flow_runs() for worker in workers))
                await asyncio.sleep(0.05)
        # Once more, for what may be offered twice.
        await asyncio.gather(*(worker.get_and_submit_flow_runs() for worker in workers))
        async with asyncio.timeout(60):
            while any(worker._live or worker._submitting_flow_run_ids for worker in workers):
                await asyncio.sleep(0.05)
    counted = Counter(name for fork in forks.values() for name in fork.started)
    assert counted == dict.fromkeys(jobs, 1)
    assert forks["bots-1"].uploads == []
    assert forks["bots-2"].uploads == ["mine"]
