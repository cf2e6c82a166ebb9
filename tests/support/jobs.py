"""Teams and jobs for tests that need one to work on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.accounts.service import create_team
from core.database import Database
from core.jobs import leases, service
from core.jobs.creation import NewJob, create_job
from core.jobs.lifecycle import Event, Status
from core.jobs.models import Job
from core.secrets import SecretBox
from tests.support.clock import ManualClock

HOOK = "https://hooks.example/meetbot"
# The shortest way into each status that is not terminal.
PATHS: dict[Status, tuple[Event, ...]] = {
    Status.QUEUED: (),
    Status.JOINING: (Event.BOT_STARTED,),
    Status.ENTERING_LOBBY: (Event.BOT_STARTED, Event.LOBBY_SHOWN),
    Status.IN_MEETING: (Event.BOT_STARTED, Event.ADMITTED),
    Status.RECORDING: (Event.BOT_STARTED, Event.ADMITTED, Event.MEDIA_CAPTURED),
    Status.FINALIZING: (Event.BOT_STARTED, Event.ADMITTED, Event.MEDIA_CAPTURED, Event.LEFT),
}


@dataclass
class JobBook:
    """Makes jobs of one team and takes them through their life, as a flow would."""

    database: Database
    box: SecretBox
    clock: ManualClock
    team_id: str

    @classmethod
    async def open(cls, database: Database, box: SecretBox, clock: ManualClock) -> JobBook:
        async with database.begin() as session:
            team = await create_team(session, box, "Acme", now=clock.now())
        return cls(database, box, clock, team.id)

    async def add(self, **changes: Any) -> Job:
        values: dict[str, Any] = {
            "team_id": self.team_id,
            "livemode": True,
            "platform": "meet",
            "driver": "meet",
            "meeting_url": "https://meet.google.com/abc-defg-hij",
            "room_url": "https://meet.google.com/abc-defg-hij",
            "display_name": "meetbot",
            "region": "local",
            "webhooks": {"onFinalize": HOOK, "version": 2, "events": None},
        }
        async with self.database.begin() as session:
            job, _ = await create_job(session, self.box, NewJob(**(values | changes)), now=self.now)
        return job

    async def take(self, job: Job, holder: str = "run-1") -> int:
        async with self.database.begin() as session:
            return await leases.acquire_lease(session, job.id, holder, seconds=10, now=self.now)

    async def bring_to(self, job: Job, status: Status) -> int:
        """Take the job and report what leads to `status`; returns the fence."""
        fence = await self.take(job)
        for event in PATHS[status]:
            await self.report(job, event, fence)
        return fence

    async def report(self, job: Job, event: Event, fence: int) -> Job:
        async with self.database.begin() as session:
            return await service.apply_event(session, job.id, event, fence=fence, now=self.now)

    async def read(self, job: Job) -> Job:
        async with self.database.begin() as session:
            return await service.find_job(session, job.id)

    @property
    def now(self) -> datetime:
        return self.clock.now()
