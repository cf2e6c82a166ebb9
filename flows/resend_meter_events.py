"""Telling Stripe's meters of usage, every minute, what was refused before among it (AR-07)."""

from __future__ import annotations

import logging
from typing import Final

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from core.billing.customers import Customers
from core.billing.reporting import MeterReporter, Tally
from core.billing.stripe_client import create_payments
from core.errors import PaymentServiceError
from flows.resources import Resources, open_resources

log = logging.getLogger(__name__)

# One at a time; the lock ends with its holder, also when that is killed.
LOCK: Final = "resend-meter-events"


@task(cache_policy=NO_CACHE, timeout_seconds=300)
async def drain() -> Tally:
    """Send what is due; an empty tally while another drain is at it."""
    async with open_resources() as resources, resources.database.exclusive(LOCK) as alone:
        return await report_usage(resources) if alone else Tally()


async def report_usage(resources: Resources) -> Tally:
    """One drain, with a client of its own: only this process needs Stripe's key."""
    billing = resources.settings.billing
    payments = create_payments(billing)
    try:
        home = resources.settings.identities.home
        customers = Customers(
            resources.database, payments, resources.clock, billing.prices, home=home
        )
        if home and payments.collects:
            try:
                await customers.for_usage_elsewhere()
            except PaymentServiceError as error:
                log.warning("a customer could not be made: %s", error.message)
        reporter = MeterReporter(
            resources.database, payments, customers, resources.clock, unit=billing.meter_unit
        )
        return await reporter.drain()
    finally:
        await payments.close()


@flow(name="resend-meter-events")
async def resend_meter_events() -> Tally:
    """Send Stripe's meters what they were not told yet."""
    return await drain()
