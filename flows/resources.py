"""What the flows of one process share: settings, database, storage, the clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

from core.clock import Clock, SystemClock
from core.database import Database
from core.errors import BadInput
from core.jobs.models import Job
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.base import Storage
from core.storage.factory import create_storage
from core.storage.opening import Storages
from core.webhooks.delivery import Courier
from core.webhooks.sending import Sender


@dataclass(frozen=True)
class Resources:
    """`storage` is the operator's; a job's own is what `storage_of` opens."""

    settings: Settings
    clock: Clock
    database: Database
    box: SecretBox
    storage: Storage
    courier: Courier

    @cached_property
    def storages(self) -> Storages:
        """What opens the storage of each team."""
        return Storages(self.storage, self.database, self.box, self.settings.trusted_origins)

    async def storage_of(self, job: Job) -> Storage:
        """Where the recording of `job` goes.

        Raises:
            Unavailable: nobody can say now.
        """
        return await self.storages.open(job.storage_id)


@asynccontextmanager
async def open_resources(settings: Settings | None = None) -> AsyncIterator[Resources]:
    """Open what a flow run needs; a flow's process is its own entry point, so it reads settings.

    Raises:
        BadInput: a setting is missing; the message names it.
    """
    settings = settings or Settings()
    if settings.database_url is None:
        raise BadInput("MEETBOT_DATABASE_URL is not set; `meetbot-server up` sets it.")
    clock = SystemClock()
    box = SecretBox(settings.encryption_keys)
    database = Database(settings.database_url)
    sender = Sender(
        timeout_seconds=settings.webhooks.timeout_seconds,
        trusted_origins=settings.trusted_origins,
        clock=clock,
    )
    try:
        async with sender:
            yield Resources(
                settings=settings,
                clock=clock,
                database=database,
                box=box,
                storage=create_storage(settings),
                courier=Courier(database, sender, box, settings.webhooks, clock),
            )
    finally:
        await database.close()
