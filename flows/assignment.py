"""What a bot is told about its job, with the account that it may sign in with (PL-24)."""

from __future__ import annotations

from core.integrations.pool import lend
from core.jobs.document import job_spec
from core.jobs.models import Job
from core.jobs.spec import JobSpec
from flows.resources import Resources


async def spec_of(resources: Resources, job: Job) -> JobSpec:
    """The assignment of the attempt that holds `job`.

    Raises:
        SignedOut: none of the team's accounts at the platform is signed in any more.
        InvalidState: nobody holds the job yet, or its scripted room was not made.
    """
    async with resources.database.begin() as session:
        account = await lend(session, resources.box, job, now=resources.clock.now())
    return job_spec(job, resources.box, account)
