"""What an operator sees: the Prefect run of a job, its usage rows, its objects in the bucket."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

from sqlmodel import col, select

from core.billing.models import UsageEvent
from core.clock import SystemClock
from core.jobs.models import Job
from tests.support.stack import RunningStack

POLL_SECONDS: Final = 0.25
SETTLE_SECONDS: Final = 60
FINAL: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A flow run as the Prefect UI shows it."""

    run: Json
    tasks: list[Json]
    artifacts: list[Json]
    logs: list[Json]
    states: list[Json]

    @property
    def state(self) -> str:
        return str(self.run["state_type"])

    @property
    def message(self) -> str:
        return str(self.run["state"]["message"])

    @property
    def everything(self) -> str:
        """All that Prefect stores of it, as text."""
        return json.dumps([self.run, self.tasks, self.artifacts, self.logs, self.states])


class Operator:
    """Looks at one product; acts as the Prefect UI does."""

    def __init__(self, product: RunningStack) -> None:
        self._product = product
        self._prefect = product.prefect
        self._clock = SystemClock()

    async def run_id(self, job_id: str) -> str:
        async with self._product.database.begin() as session:
            flow_run_id = (await session.get_one(Job, job_id)).flow_run_id
        assert flow_run_id is not None, f"{job_id} has no flow run"
        return flow_run_id

    async def settled_run(self, job_id: str, seconds: float = SETTLE_SECONDS) -> Run:
        """The job's run once it is in a final state that stays."""
        run_id = await self.run_id(job_id)
        deadline = self._clock.monotonic() + seconds
        while (run := await self._get(f"/flow_runs/{run_id}"))["state_type"] not in FINAL:
            assert self._clock.monotonic() < deadline, f"the run stays {run['state']}"
            await asyncio.sleep(POLL_SECONDS)
        mine: Json = {"flow_run_id": {"any_": [run_id]}}
        return Run(
            run,
            await self._filter("/task_runs", {"flow_runs": {"id": {"any_": [run_id]}}}),
            await self._filter("/artifacts", {"artifacts": mine}),
            await self._filter("/logs", {"logs": mine}),
            await self._get("/flow_run_states/", flow_run_id=run_id),
        )

    async def until_running(self, job_id: str) -> None:
        """Until a process works on the job's run."""
        run_id = await self.run_id(job_id)
        deadline = self._clock.monotonic() + SETTLE_SECONDS
        while (run := await self._get(f"/flow_runs/{run_id}"))["state_type"] != "RUNNING":
            assert self._clock.monotonic() < deadline, f"the run is {run['state']}"
            await asyncio.sleep(POLL_SECONDS)

    async def until_tasks(self, job_id: str, names: set[str]) -> None:
        """Task states travel to Prefect as events, so the last ones arrive after the run's own."""
        deadline = self._clock.monotonic() + SETTLE_SECONDS
        while True:
            run = await self.settled_run(job_id)
            done = {task_name(t) for t in run.tasks if t["state_type"] in FINAL}
            if names <= done:
                return
            assert self._clock.monotonic() < deadline, f"only {done} of {names} have ended"
            await asyncio.sleep(POLL_SECONDS)

    async def until_logged(self, job_id: str, *messages: str) -> None:
        """Lines of a run's log travel in batches of their own."""
        deadline = self._clock.monotonic() + SETTLE_SECONDS
        while True:
            logged = {str(line["message"]) for line in (await self.settled_run(job_id)).logs}
            if logged.issuperset(messages):
                return
            assert self._clock.monotonic() < deadline, f"only {logged} are logged"
            await asyncio.sleep(POLL_SECONDS)

    async def run_now(self, deployment: str) -> None:
        """Start a deployment as the UI's button does, and wait until it has succeeded."""
        found = await self._get(f"/deployments/name/{deployment}")
        made = await self._prefect.post(
            f"/deployments/{found['id']}/create_flow_run", json={"state": {"type": "SCHEDULED"}}
        )
        made.raise_for_status()
        path = f"/flow_runs/{made.json()['id']}"
        deadline = self._clock.monotonic() + SETTLE_SECONDS
        while (run := await self._get(path))["state_type"] not in FINAL:
            assert self._clock.monotonic() < deadline, f"{deployment} stays {run['state']}"
            await asyncio.sleep(POLL_SECONDS)
        assert run["state_type"] == "COMPLETED", run["state"]

    async def cancel_in_the_ui(self, job_id: str) -> None:
        """The request that the UI's cancel button sends."""
        answer = await self._prefect.post(
            f"/flow_runs/{await self.run_id(job_id)}/set_state",
            json={"state": {"type": "CANCELLING", "name": "Cancelling"}},
        )
        answer.raise_for_status()

    async def usage(self, job_id: str) -> list[UsageEvent]:
        async with self._product.database.begin() as session:
            found = await session.exec(select(UsageEvent).where(col(UsageEvent.job_id) == job_id))
            return list(found.all())

    async def objects(self, job_id: str) -> list[str]:
        """The names of everything below the job's prefix in the bucket."""
        prefix = f"recordings/{job_id}/"
        found = await asyncio.to_thread(lambda: list(self._product.bucket.list(prefix)))
        return [entry.key.removeprefix(prefix) for entry in found]

    async def read(self, job_id: str, name: str) -> bytes:
        key = f"recordings/{job_id}/{name}"
        return await asyncio.to_thread(self._product.bucket.get_bytes, key)

    async def manifest(self, job_id: str) -> Json:
        manifest: Json = json.loads(await self.read(job_id, "manifest.json"))
        return manifest

    async def _get(self, path: str, **query: str) -> Any:
        answer = await self._prefect.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    async def _filter(self, path: str, what: Json) -> list[Json]:
        answer = await self._prefect.post(f"{path}/filter", json=what | {"limit": 200})
        answer.raise_for_status()
        found: list[Json] = answer.json()
        return found


def task_name(task: Json) -> str:
    """`upload` of `upload-3f2`."""
    return str(task["name"]).rpartition("-")[0]
