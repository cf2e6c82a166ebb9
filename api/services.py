"""What the routes work with; made once per process by `api.app`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from api.feed import JobFeed
from api.google import GoogleLogin
from api.metrics import Metrics
from api.request_meter import RequestMeter
from core.billing.customers import Customers
from core.billing.payments import Payments
from core.calendars.providers import Providers
from core.clock import Clock
from core.database import Database
from core.dispatch.base import Dispatcher
from core.jobs.models import Job
from core.mail import Mailer
from core.network.addresses import Resolve
from core.network.fetching import Fetcher
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.base import Storage
from core.storage.opening import Storages


@dataclass(frozen=True)
class Services:
    settings: Settings
    clock: Clock
    database: Database
    box: SecretBox
    dispatcher: Dispatcher
    feed: JobFeed
    # Wakes long polls of bots that are told their commands over HTTP.
    command_feed: JobFeed
    # Wakes those who listen to a team's webhooks.
    delivery_feed: JobFeed
    resolver: Resolve
    # The operator's; a job's own is what `storages` opens.
    storage: Storage
    storages: Storages
    fetcher: Fetcher
    # Each upload holds its bytes in memory, twice while they are decoded.
    uploads: asyncio.Semaphore
    mailer: Mailer
    google: GoogleLogin
    meter: RequestMeter
    metrics: Metrics
    payments: Payments
    customers: Customers
    calendars: Providers

    async def storage_of(self, job: Job) -> Storage:
        """Where the recording of `job` lies.

        Raises:
            Unavailable: nobody can say now.
        """
        return await self.storages.open(job.storage_id)
