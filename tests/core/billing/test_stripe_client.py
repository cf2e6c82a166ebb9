"""Our door to Stripe, against a Stripe on loopback that refuses undeclared requests (BL-17, 18)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import stripe
from pydantic import SecretStr, ValidationError

from core.billing.payments import Customer, MeterReport
from core.billing.stripe_client import StripePayments, create_payments, unit_cents
from core.errors import BadInput, NotFound, PaymentServiceError, PaymentServiceRefused
from core.prices import Prices
from core.settings import BillingSettings
from tests.support.clock import START
from tests.support.stripe_server import KEY, WEBHOOK_SECRET, StripeServer
from tests.support.stripe_shapes import checked

pytestmark = pytest.mark.integration


async def subscribed(payments: StripePayments, prices: Prices | None = None) -> str:
    customer = await payments.create_customer(Customer("team_1-1", "team_1", "Acme"))
    await payments.subscribe(customer, "team_1-1", prices or Prices())
    return customer


def report(customer: str, value: int = 1181, identifier: str = "job_1") -> MeterReport:
    return MeterReport("recording_hours", identifier, customer, value, START)


async def test_a_customer_is_made_once(
    payments: StripePayments, stripe_server: StripeServer
) -> None:
    """Repeated after a crash, it is the same one; localstripe has its name and our team."""
    first = await payments.create_customer(Customer("team_1-1", "team_1", "Acme"))
    assert await payments.create_customer(Customer("team_1-1", "team_1", "Acme")) == first
    assert await payments.create_customer(Customer("team_1-2", "team_1", "Acme")) != first
    found = (await stripe_server.upstream.get(f"/v1/customers/{first}")).json()
    assert (found["name"], found["metadata"]) == ("Acme", {"team_id": "team_1"})


async def test_meters_and_prices_are_made_once(
    payments: StripePayments, billing: BillingSettings, stripe_server: StripeServer
) -> None:
    """BL-17, BL-18: $0.0003 and $0.0001 a thousandth of an hour."""
    ids = await payments.set_up(Prices())
    again = StripePayments(billing, SecretStr(KEY))
    assert await again.set_up(Prices()) == ids
    await again.close()
    assert [meter["event_name"] for meter in stripe_server.meters.values()] == [
        "recording_hours",
        "transcription_hours",
    ]
    assert [price["unit_amount_decimal"] for price in stripe_server.prices.values()] == [
        "0.03",
        "0.01",
    ]


async def test_usage_is_counted_once_by_its_identifier(
    payments: StripePayments, stripe_server: StripeServer
) -> None:
    """BL-17: 1.181 h are 1181 units, $0.3543."""
    customer = await subscribed(payments)
    await payments.report(report(customer))
    await payments.report(report(customer))
    assert stripe_server.units(customer, "recording_hours") == 1181
    assert stripe_server.invoiced(customer) == Decimal("0.3543")
    minute = timedelta(minutes=1)
    window = (START, START + minute)
    assert await payments.metered(customer, "recording_hours", *window) == 1181
    assert await payments.metered(customer, "transcription_hours", *window) == 0
    earlier = (START - minute, START)
    assert await payments.metered(customer, "recording_hours", *earlier) == 0


async def test_the_price_of_a_subscription_can_change(
    payments: StripePayments, stripe_server: StripeServer
) -> None:
    """BL-26."""
    customer = await payments.create_customer(Customer("team_1-1", "team_1", "Acme"))
    subscription = await payments.subscribe(customer, "team_1-1", Prices())
    await payments.change_prices(subscription.id, Prices(recording=Decimal("0.24")))
    await payments.report(report(customer))
    assert stripe_server.invoiced(customer) == Decimal("0.28344")


async def test_credit_is_granted_in_cents_once_per_entry(
    payments: StripePayments, stripe_server: StripeServer
) -> None:
    """BL-13: Stripe takes it off metered usage."""
    for _ in range(2):
        await payments.grant_credit("cus_1", "crd_1", Decimal("5.000"))
    (grant,) = stripe_server.grants
    assert grant["amount"] == {"type": "monetary", "monetary": {"currency": "usd", "value": 500}}
    assert grant["applicability_config"] == {"scope": {"price_type": "metered"}}


async def test_pages_are_of_the_customer_and_lead_back(
    payments: StripePayments, stripe_server: StripeServer
) -> None:
    """API-45."""
    back = "https://meetbot.dev/account/billing"
    pages = [await payments.portal_url("cus_1", back), await payments.setup_url("cus_1", back)]
    portal, setup = stripe_server.sessions.values()
    assert pages == [portal["url"], setup["url"]]
    assert (portal["customer"], portal["return_url"]) == ("cus_1", back)
    assert (setup["customer"], setup["mode"], setup["success_url"]) == ("cus_1", "setup", back)


@pytest.mark.parametrize(
    ("fault", "unknown"), [(429, False), (500, True), (503, True), (-500, True)]
)
async def test_trouble_that_may_pass_says_whether_it_was_done(
    payments: StripePayments, stripe_server: StripeServer, fault: int, unknown: bool
) -> None:
    """BL-19."""
    customer = await subscribed(payments)
    stripe_server.faults = [fault]
    with pytest.raises(PaymentServiceError) as raised:
        await payments.report(report(customer))
    assert (raised.value.retryable, raised.value.outcome_unknown) == (True, unknown)


async def test_nobody_listening_is_trouble_that_may_pass(billing: BillingSettings) -> None:
    nowhere = billing.model_copy(update={"stripe_api": "http://127.0.0.1:1"})
    payments = StripePayments(nowhere, SecretStr(KEY))
    with pytest.raises(PaymentServiceError, match="APIConnectionError"):
        await payments.portal_url("cus_1", "https://back.example")
    await payments.close()


async def test_a_wrong_key_and_a_bad_request_are_refused(
    billing: BillingSettings, payments: StripePayments
) -> None:
    stranger = StripePayments(billing, SecretStr("sk_test_other"))
    with pytest.raises(PaymentServiceRefused, match="Authentication"):
        await stranger.portal_url("cus_1", "https://back.example")
    await stranger.close()
    customer = await subscribed(payments)
    old = MeterReport("recording_hours", "job_9", customer, 1, START - timedelta(days=36))
    with pytest.raises(PaymentServiceRefused, match="35 calendar days"):
        await payments.report(old)


@pytest.mark.parametrize(
    "sent",
    [
        {"event_name": "recording_hours", "payload[value]": "1", "job": "x"},
        {"payload[value]": "1"},
        {"event_name": "recording_hours", "payload": "1"},
        {"event_name": "recording_hours", "payload[value]": "1", "timestamp": "now"},
    ],
    ids=["undeclared", "missing", "not-nested", "not-a-number"],
)
def test_the_replica_refuses_what_stripes_package_does_not_declare(sent: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        checked("POST /v1/billing/meter_events", sent)


def test_the_price_of_a_unit_is_exact_in_thousandths_and_close_in_seconds() -> None:
    assert unit_cents(Decimal("0.30"), "thousandths") == Decimal("0.03")
    assert unit_cents(Decimal("0.24"), "thousandths") == Decimal("0.024")
    assert unit_cents(Decimal("0.30"), "seconds") == Decimal("0.008333333333")


def test_a_signed_event_is_read(payments: StripePayments, stripe_server: StripeServer) -> None:
    """AU-19."""
    told = {"id": "pm_1", "customer": None}
    body, signature = stripe_server.signed(
        "payment_method.detached", told, previous={"customer": "cus_1"}, event_id="evt_1"
    )
    notice = payments.read_notice(body, signature)
    assert (notice.id, notice.type) == ("evt_1", "payment_method.detached")
    assert (notice.object, notice.previous) == (told, {"customer": "cus_1"})
    assert notice.created_at == datetime(2026, 5, 9, 14, 0, tzinfo=UTC)


def signature_of(body: bytes, *, secret: str = WEBHOOK_SECRET, age: int = 0) -> str:
    moment = int(time.time()) - age
    return str(stripe.WebhookSignature.generate_signature_header(body.decode(), secret, moment))


def test_an_event_that_is_not_freshly_signed_by_stripe_is_refused(
    payments: StripePayments, stripe_server: StripeServer
) -> None:
    """AU-19: over the raw body, five minutes."""
    body, _ = stripe_server.signed("customer.updated", {"id": "cus_1"})
    assert payments.read_notice(body, signature_of(body, age=290)).object == {"id": "cus_1"}
    for bad in (
        None,
        "",
        "t=1,v1=00",
        signature_of(body, age=310),
        signature_of(body, secret="whsec_other"),
        signature_of(body + b" "),
    ):
        with pytest.raises(BadInput, match="Stripe-Signature"):
            payments.read_notice(body, bad)


async def test_without_a_key_nobody_is_asked() -> None:
    """Whoever runs this for themselves."""
    payments = create_payments(BillingSettings())
    assert payments.collects is False
    assert await payments.invoices("cus_1", limit=10, after=None) == ()
    with pytest.raises(NotFound, match="MEETBOT_BILLING__STRIPE_KEY"):
        await payments.portal_url("cus_1", "https://back.example")
    with pytest.raises(BadInput):
        payments.read_notice(b"{}", "t=1,v1=00")
