"""The repair of jobs whose flow run is missing, lost, late or over (design.md D2).

The job's row is the truth. It may have no run because Prefect was away when the job was created,
a run that Prefect has lost, one that is planned for another time than `joinAt` now says, or one
that ended before any process had taken the job. There is one repair, and it is this: the
deployment `reconcile` runs it every ten seconds, one at a time in all of an installation.
Jobs whose process has begun are not its business: they have a lease, and those who watch leases.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.clock import Clock
from core.database import Database
from core.dispatch.base import RunPhase, Runs, RunSeen
from core.dispatch.submitting import due, submit_job
from core.errors import InvalidState, Unavailable
from core.jobs import service
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.listing import dispatched_jobs, undispatched_jobs
from core.jobs.models import Job
from core.jobs.settlement import Settlement, settle

log = logging.getLogger(__name__)

# Younger rows are still in the hands of the request that made them.
REPAIR_AFTER: Final = timedelta(seconds=5)
REPAIR_BATCH: Final = 100
AT_ONCE: Final = 8
# Runs looked at in one round: those due soon always, of the others a page at a time.
SOON: Final = timedelta(minutes=5)
PAGE: Final = 500
# A run that is planned so much beside its job's time is moved.
TOLERANCE: Final = timedelta(seconds=2)
# A run that ended without taking its job is started again after so long, and so often.
ENDED_FOR: Final = timedelta(seconds=10)
MAX_STARTS: Final = 4


@dataclass(frozen=True)
class Tally:
    """What a round did: runs made, runs moved, and jobs ended because their run was."""

    made: int = 0
    moved: int = 0
    ended: int = 0


class Reconciler:
    """One round of repair. `lead_seconds`: how long before `joinAt` runs start, at least."""

    def __init__(
        self, database: Database, runs: Runs, clock: Clock, *, lead_seconds: float
    ) -> None:
        self._database = database
        self._runs = runs
        self._clock = clock
        self._lead = lead_seconds
        self._made = self._moved = self._ended = 0

    async def round(self, number: int = 0) -> Tally:
        """Repair what is due for it. `number` chooses the page of runs that start much later.

        Raises:
            Unavailable: Prefect or the database is away; the next round goes on.
        """
        now = self._clock.now()
        async with self._database.begin() as session:
            missing = await undispatched_jobs(
                session, now=now, older_than=REPAIR_AFTER, limit=REPAIR_BATCH
            )
            placed = await dispatched_jobs(
                session, now=now, soon=SOON, older_than=REPAIR_AFTER, page=number, limit=PAGE
            )
        # Several at once: after an outage a hundred runs are missing, and one takes its time.
        for start in range(0, len(missing), AT_ONCE):
            batch = missing[start : start + AT_ONCE]
            ends = await asyncio.gather(
                *(self._submit(job, now) for job in batch), return_exceptions=True
            )
            for failure in ends:
                if failure is not None:
                    raise failure
        await self._compare(placed, now)
        return Tally(self._made, self._moved, self._ended)

    async def _compare(self, jobs: Sequence[Job], now: datetime) -> None:
        """Each job beside its run. One that cannot be repaired does not keep back the others."""
        seen = await self._runs.look([job.flow_run_id for job in jobs if job.flow_run_id])
        for job in jobs:
            try:
                await self._repair(job, seen.get(job.flow_run_id or ""), now)
            except (Unavailable, InvalidState) as exc:
                log.warning("the run of %s was not repaired: %s", job.id, exc.message)

    async def _repair(self, job: Job, run: RunSeen | None, now: datetime) -> None:
        if run is None:
            log.warning("Prefect has lost the run of %s; making another", job.id)
            await self._submit(job, now)
            return
        match run.phase:
            case RunPhase.WAITING:
                await self._keep_time(job, run, now)
            case RunPhase.CANCELLED:
                # In the Prefect UI, before any process had it (AR-13).
                async with self._database.begin() as session:
                    await service.request_cancel(session, job.id, now=now)
                self._ended += 1
            case RunPhase.ENDED if now - run.since >= ENDED_FOR:
                await self._start_again(job, run, now)
            case _:
                return

    async def _keep_time(self, job: Job, run: RunSeen, now: datetime) -> None:
        wanted = due(job, self._lead, now)
        # A run that is due already has to be taken by a worker; moving it would only delay it.
        planned = max(run.due, now) if run.due is not None else None
        if planned is None or abs(planned - wanted) > TOLERANCE:
            await self._move(job, wanted)

    async def _start_again(self, job: Job, run: RunSeen, now: datetime) -> None:
        if run.starts < MAX_STARTS:
            await self._move(job, due(job, self._lead, now))
            return
        detail = (
            f"The job's flow run ended {run.starts} times before a bot could start. "
            "See the run's log in Prefect, and whether the worker can reach the database."
        )
        async with self._database.begin() as session:
            current = await service.find_job(session, job.id)
            if current.fence == job.fence and not current.status.terminal:
                failed = Settlement(
                    exit_reason=ExitReason.ERROR,
                    failure_code=FailureCode.DISPATCH_TIMEOUT,
                    failure_detail=detail,
                )
                await settle(session, job.id, failed, now=now)
        self._ended += 1

    async def _submit(self, job: Job, now: datetime) -> None:
        await submit_job(self._database, self._runs, job, lead_seconds=self._lead, now=now)
        self._made += 1

    async def _move(self, job: Job, wanted: datetime) -> None:
        if job.flow_run_id is not None:
            await self._runs.move(job.flow_run_id, wanted)
            self._moved += 1
