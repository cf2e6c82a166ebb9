"""One running stack and its customer, for the figures of many meetings and of live ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx
from sqlmodel import col, select

from bench.process_tree import Usage, usage
from core.clock import SystemClock, rfc3339
from core.database import Database
from core.jobs.lifecycle import Event
from core.jobs.models import Transition
from core.settings import LimitSettings, Settings
from meetbot_server import teams
from meetbot_server.demo.run import api_client
from meetbot_server.stack import Stack
from meetbot_server.teams import NewTeam
from sandbox.client import SandboxClient

MEET: Final = "https://meet.google.com/abc-defg-hij"
END_SECONDS: Final = 400.0


@dataclass(frozen=True)
class Office:
    """A running stack and its customer."""

    stack: Stack
    team: NewTeam
    api: httpx.AsyncClient
    database: Database
    sandbox: SandboxClient
    say: Callable[[str], None]

    async def send(
        self,
        url: str = MEET,
        join_at: datetime | None = None,
        *,
        video: str = "off",
        name: str = "meetbot",
    ) -> str:
        body = {
            "displayName": name,
            "meetingUrl": url,
            "recording": {"video": video},
            "autoLeave": {"afterSilenceSeconds": 3600},
            "joinAt": None if join_at is None else rfc3339(join_at),
        }
        answer = await self.api.post("/api/v1/jobs", json=body)
        answer.raise_for_status()
        return str(answer.json()["id"])

    async def ask(self, job_id: str, verb: str, body: Mapping[str, Any] | None = None) -> Any:
        """Tell the job's bot; what the API answers."""
        answer = await self.api.post(f"/api/v1/jobs/{job_id}/{verb}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def moments(self, jobs: Collection[str], event: Event) -> dict[str, datetime]:
        """When each of the jobs had `event`, of those that had it."""
        async with self.database.begin() as session:
            found = await session.exec(
                select(Transition).where(
                    col(Transition.job_id).in_(jobs), Transition.event == event
                )
            )
            return {move.job_id: move.at for move in found.all()}

    async def until(self, jobs: Collection[str], event: Event) -> dict[str, datetime]:
        try:
            async with asyncio.timeout(END_SECONDS):
                while len(moments := await self.moments(jobs, event)) < len(jobs):
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise RuntimeError(
                f"only {len(moments)} of {len(jobs)} jobs had {event} after {END_SECONDS:g} s"
            ) from None
        return moments

    async def end(self, jobs: Sequence[str]) -> None:
        """Have the bots leave, and wait until everything is delivered."""
        for job_id in jobs:
            await self.ask(job_id, "leave-call")
        await self.until(jobs, Event.COMPLETED)

    def read(self, name: str) -> Usage:
        pid = self.stack.supervisor.pid(name)
        if pid is None:
            raise RuntimeError(f"{name} is down")
        return usage(pid)


@asynccontextmanager
async def open_office(settings: Settings, say: Callable[[str], None]) -> AsyncIterator[Office]:
    """A stack whose test rooms are simulated; rooms of its sandbox are joined in Chromium."""
    given = settings.model_copy(
        update={
            "sandbox": settings.sandbox.model_copy(update={"simulated": True}),
            # What the machine can do is what is to be seen.
            "limits": LimitSettings(create_job=1_000_000, requests=1_000_000),
            "worker": settings.worker.model_copy(update={"cpu_budget": 1e6}),
        }
    )
    async with Stack(given, SystemClock(), say) as stack:
        url, token = stack.settings.database_url, stack.settings.sandbox.admin_token
        if url is None or token is None:
            raise RuntimeError("the stack is not complete")
        team = await teams.create(stack.settings, SystemClock(), "Bench")
        database = Database(url)
        try:
            async with (
                api_client(stack.settings, team) as api,
                SandboxClient(stack.settings.sandbox.origin, token) as sandbox,
            ):
                yield Office(stack, team, api, database, sandbox, say)
        finally:
            await database.close()
