"""Stripe on loopback, and the real client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from core.billing.customers import Customers
from core.billing.reporting import MeterReporter
from core.billing.stripe_client import StripePayments
from core.database import Database
from core.prices import PriceList
from core.settings import BillingSettings
from tests.support.clock import ManualClock
from tests.support.stripe_server import KEY, WEBHOOK_SECRET, StripeServer


@pytest.fixture
def billing(stripe_server: StripeServer) -> BillingSettings:
    return BillingSettings(
        stripe_key=SecretStr(KEY),
        stripe_webhook_secret=SecretStr(WEBHOOK_SECRET),
        stripe_api=stripe_server.origin,
        network_retries=0,
    )


@pytest.fixture
async def payments(billing: BillingSettings) -> AsyncIterator[StripePayments]:
    opened = StripePayments(billing, SecretStr(KEY))
    yield opened
    await opened.close()


@pytest.fixture
def customers(database: Database, payments: StripePayments, clock: ManualClock) -> Customers:
    return Customers(database, payments, clock, PriceList())


@pytest.fixture
def reporter(
    database: Database, payments: StripePayments, customers: Customers, clock: ManualClock
) -> MeterReporter:
    return MeterReporter(database, payments, customers, clock, random=lambda: 0.5)
