"""Who holds a job's lease: one process of one flow run, by a name that tells both (D10)."""

from __future__ import annotations

import os
import socket

from core.jobs import leases
from core.jobs.models import Job
from core.transcripts import requests
from flows.resources import Resources


def holder_name(flow_run_id: str, pid: int | None = None) -> str:
    """The name under which a process (this one) of a flow run holds a job."""
    return f"{flow_run_id}@{socket.gethostname()}:{os.getpid() if pid is None else pid}"


def run_of(holder: str | None) -> str | None:
    """The flow run behind a holder's name."""
    return holder.rpartition("@")[0] if holder else None


class Deaths:
    """What a worker says about processes that it saw die."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def concerns(self, job_id: str, holder: str) -> bool:
        """Whether that death is the job's: False while another process holds it, or it is over.

        Raises:
            Unavailable: the database is away.
        """
        async with self._resources.database.begin() as session:
            job = await session.get(Job, job_id)
        if job is None:
            return False
        return not job.status.terminal and job.lease_holder in (holder, None)

    async def tell(self, job_id: str, holder: str) -> None:
        """End the lease of that process, so that the watcher acts at once.

        Raises:
            Unavailable: the database is away; the lease runs out by itself.
        """
        async with self._resources.database.begin() as session:
            await leases.expire_lease(session, job_id, holder)

    async def of_transcript(self, request_id: str) -> None:
        """End the claim of a process that made a transcript; the next attempt begins at once.

        Raises:
            Unavailable: the database is away; the claim runs out by itself.
        """
        async with self._resources.database.begin() as session:
            await requests.let_go(session, request_id)
