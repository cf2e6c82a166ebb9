"""Scripted rooms for test keys: any valid meeting URL gets a sandbox meeting (AU-06, D13)."""

from __future__ import annotations

from core.errors import BotFault, MeetbotError
from core.jobs.models import Job
from flows.patience import START_SECONDS, answered
from flows.resources import Resources
from flows.simulated import DRIVER, SCRIPT
from sandbox.client import SandboxClient
from sandbox.script import read_script


async def scripted_room(resources: Resources, job: Job) -> None:
    """Make the room of a test job and note its address on the job.

    Raises:
        BotFault: the sandbox made none; the message says why.
    """
    sandbox = resources.settings.sandbox
    if sandbox.simulated and not job.livemode:
        await _note(resources, job, DRIVER, f"{DRIVER}:{job.id}")
        # Decoding it takes a while; here that is before `joinAt`, and no part of what is measured.
        await read_script(SCRIPT)
        return
    if sandbox.admin_token is None:
        raise BotFault("MEETBOT_SANDBOX__ADMIN_TOKEN is not set; test jobs need the sandbox.")
    try:
        async with SandboxClient(sandbox.origin, sandbox.admin_token) as client:
            room = await client.create_room()
    except MeetbotError as error:
        raise BotFault(f"No scripted room could be made: {error.message}") from error
    await answered(
        resources.clock,
        lambda: _note(resources, job, job.driver, room.guest_url),
        START_SECONDS,
    )


async def _note(resources: Resources, job: Job, driver: str, room_url: str) -> None:
    async with resources.database.begin() as session:
        row = await session.get_one(Job, job.id, with_for_update=True)
        row.driver, row.room_url = driver, room_url
    job.driver, job.room_url = driver, room_url
