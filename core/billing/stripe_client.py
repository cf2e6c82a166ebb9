"""The one door to Stripe. Money goes out as whole units of its meters, never as a float."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, Literal

import stripe
from pydantic import SecretStr

from core.billing.payments import (
    Customer,
    Invoice,
    MeterReport,
    NoPayments,
    Notice,
    Payments,
    Subscription,
)
from core.billing.usage import RECORDING_METER, TRANSCRIPTION_METER
from core.errors import BadInput, PaymentServiceError, PaymentServiceRefused
from core.prices import Prices
from core.settings import BillingSettings

# How old a signed event may be (AU-19).
TOLERANCE_SECONDS: Final = 300
# Units of a meter in an hour (BL-17).
UNITS: Final = {"thousandths": 1000, "seconds": 3600}
# Stripe takes prices of a unit in cents, with so many places at the most.
CENT_PLACES: Final = Decimal("1e-12")
METERS: Final = {RECORDING_METER: "Recorded hours", TRANSCRIPTION_METER: "Transcribed hours"}


def create_payments(settings: BillingSettings) -> Payments:
    """Stripe where there is a key, else nobody."""
    if settings.stripe_key is None:
        return NoPayments()
    return StripePayments(settings, settings.stripe_key)


class StripePayments:
    """Stripe's API. Calls end within the configured time, and are repeated by the library."""

    collects: Final = True

    def __init__(self, settings: BillingSettings, key: SecretStr) -> None:
        self._unit: Literal["thousandths", "seconds"] = settings.meter_unit
        self._webhook_secret = settings.stripe_webhook_secret
        self._http = stripe.HTTPXClient(timeout=settings.timeout_seconds)
        base = settings.stripe_api
        self._client = stripe.StripeClient(
            key.get_secret_value(),
            http_client=self._http,
            max_network_retries=settings.network_retries,
            base_addresses={"api": base, "connect": base, "files": base, "meter_events": base},
        )
        self._meter_ids: dict[str, str] = {}
        self._price_ids: dict[str, str] = {}

    async def create_customer(self, customer: Customer) -> str:
        with _translated():
            made = await self._client.v1.customers.create_async(
                {"name": customer.name, "metadata": {"team_id": customer.team_id}},
                {"idempotency_key": f"customer-{customer.reference}"},
            )
        return made.id

    async def grant_credit(self, customer_id: str, entry_id: str, usd: Decimal) -> str:
        cents = int((usd * 100).to_integral_value(ROUND_HALF_UP))
        with _translated():
            made = await self._client.v1.billing.credit_grants.create_async(
                {
                    "customer": customer_id,
                    "name": "Credit",
                    "category": "promotional",
                    "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": cents}},
                    "applicability_config": {"scope": {"price_type": "metered"}},
                    "metadata": {"entry_id": entry_id},
                },
                {"idempotency_key": f"credit-{customer_id}-{entry_id}"},
            )
        return made.id

    async def subscribe(self, customer_id: str, reference: str, prices: Prices) -> Subscription:
        ids = await self._prices(prices)
        with _translated():
            made = await self._client.v1.subscriptions.create_async(
                {
                    "customer": customer_id,
                    "items": [{"price": price} for price in ids],
                    # Invoices are of calendar months, as our own summary is.
                    "billing_cycle_anchor_config": {"day_of_month": 1, "hour": 0, "minute": 0},
                    "proration_behavior": "none",
                },
                {"idempotency_key": f"subscription-{reference}"},
            )
        return Subscription(made.id, _moment(made.created))

    async def change_prices(self, subscription_id: str, prices: Prices) -> None:
        ids = await self._prices(prices)
        with _translated():
            items = await self._client.v1.subscription_items.list_async(
                {"subscription": subscription_id}
            )
            meters = {_meter_of(item): item for item in items.data}
            for name, price in zip(METERS, ids, strict=True):
                item = meters[await self._meter(name)]
                if item.price.id != price:
                    await self._client.v1.subscription_items.update_async(
                        item.id, {"price": price, "proration_behavior": "none"}
                    )

    async def report(self, report: MeterReport) -> None:
        with _translated():
            try:
                await self._client.v1.billing.meter_events.create_async(
                    {
                        "event_name": report.event_name,
                        "identifier": report.identifier,
                        "payload": {
                            "stripe_customer_id": report.customer_id,
                            "value": str(report.value),
                        },
                        "timestamp": int(report.booked_at.timestamp()),
                    }
                )
            except stripe.InvalidRequestError as error:
                if not _counted_already(error):
                    raise

    async def metered(
        self, customer_id: str, event_name: str, start: datetime, end: datetime
    ) -> int:
        meter = await self._meter(event_name)
        with _translated():
            found = await self._client.v1.billing.meters.event_summaries.list_async(
                meter,
                {
                    "customer": customer_id,
                    "start_time": int(start.timestamp()),
                    "end_time": int(end.timestamp()),
                },
            )
        # Sums of whole units; the library reads them as floats, exact far beyond any usage.
        return sum(round(summary.aggregated_value) for summary in found.data)

    async def portal_url(self, customer_id: str, return_url: str) -> str:
        with _translated():
            made = await self._client.v1.billing_portal.sessions.create_async(
                {"customer": customer_id, "return_url": return_url}
            )
        return made.url

    async def setup_url(self, customer_id: str, return_url: str) -> str:
        with _translated():
            made = await self._client.v1.checkout.sessions.create_async(
                {
                    "mode": "setup",
                    "currency": "usd",
                    "customer": customer_id,
                    "success_url": return_url,
                    "cancel_url": return_url,
                }
            )
        if made.url is None:
            raise PaymentServiceRefused("Stripe made a checkout without an address.")
        return made.url

    async def invoices(
        self, customer_id: str, *, limit: int, after: str | None
    ) -> Sequence[Invoice]:
        with _translated():
            found = await self._client.v1.invoices.list_async(
                {"customer": customer_id, "limit": limit}
                | ({"starting_after": after} if after else {})  # type: ignore[arg-type]
            )
        return [_invoice(one) for one in found.data]

    def read_notice(self, body: bytes, signature: str | None) -> Notice:
        secret = self._webhook_secret
        if secret is None:
            raise BadInput("Set MEETBOT_BILLING__STRIPE_WEBHOOK_SECRET to take Stripe's events.")
        try:
            event = self._client.construct_event(
                body, signature, secret.get_secret_value(), TOLERANCE_SECONDS
            )
        except (stripe.SignatureVerificationError, ValueError):
            raise BadInput(
                "The Stripe-Signature is missing, older than five minutes, or not of this body."
            ) from None
        told: dict[str, Any] = event.to_dict()
        return Notice(
            id=str(told["id"]),
            type=str(told["type"]),
            created_at=_moment(told["created"]),
            object=told["data"]["object"],
            previous=told["data"].get("previous_attributes") or {},
        )

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def set_up(self, prices: Prices) -> Sequence[str]:
        """Make meters and prices that are missing; the ids of the prices.

        Again: nothing is made twice.
        """
        return await self._prices(prices)

    async def _prices(self, prices: Prices) -> list[str]:
        amounts = (prices.recording, prices.transcription)
        return [await self._price(name, usd) for name, usd in zip(METERS, amounts, strict=True)]

    async def _price(self, meter_name: str, usd_per_hour: Decimal) -> str:
        key = f"meetbot-{meter_name}-{usd_per_hour.normalize():f}-{self._unit}"
        if key in self._price_ids:
            return self._price_ids[key]
        meter = await self._meter(meter_name)
        with _translated():
            found = await self._client.v1.prices.list_async({"lookup_keys": [key], "limit": 1})
            price = found.data[0] if found.data else None
            if price is None:
                price = await self._client.v1.prices.create_async(
                    {
                        "currency": "usd",
                        "lookup_key": key,
                        "product_data": {"name": METERS[meter_name]},
                        "recurring": {"interval": "month", "usage_type": "metered", "meter": meter},
                        "unit_amount_decimal": unit_cents(usd_per_hour, self._unit),
                    }
                )
        self._price_ids[key] = price.id
        return price.id

    async def _meter(self, event_name: str) -> str:
        if event_name in self._meter_ids:
            return self._meter_ids[event_name]
        with _translated():
            found = await self._client.v1.billing.meters.list_async(
                {"status": "active", "limit": 100}
            )
            meter = next((one for one in found.data if one.event_name == event_name), None)
            if meter is None:
                meter = await self._client.v1.billing.meters.create_async(
                    {
                        "display_name": METERS[event_name],
                        "event_name": event_name,
                        "default_aggregation": {"formula": "sum"},
                        "customer_mapping": {
                            "type": "by_id",
                            "event_payload_key": "stripe_customer_id",
                        },
                        "value_settings": {"event_payload_key": "value"},
                    }
                )
        self._meter_ids[event_name] = meter.id
        return meter.id


def unit_cents(usd_per_hour: Decimal, unit: Literal["thousandths", "seconds"]) -> Decimal:
    """The price of one unit of a meter, in cents: 0.03 for $0.30 and thousandths (BL-17)."""
    return (usd_per_hour * 100 / UNITS[unit]).quantize(CENT_PLACES, ROUND_HALF_UP).normalize()


@contextmanager
def _translated() -> Iterator[None]:
    """Stripe's errors as ours. What a refused request held is not repeated."""
    try:
        yield
    except stripe.RateLimitError as error:
        raise PaymentServiceError(_words(error)) from error
    except (stripe.APIConnectionError, stripe.APIError) as error:
        # Nobody knows whether it was done.
        raise PaymentServiceError(_words(error), outcome_unknown=True) from error
    except stripe.StripeError as error:
        raise PaymentServiceRefused(_words(error)) from error


def _words(error: stripe.StripeError) -> str:
    return f"Stripe: {type(error).__name__}: {error.user_message or 'no reason given'}"[:500]


def _counted_already(error: stripe.InvalidRequestError) -> bool:
    """Stripe has a meter event of this identifier."""
    if error.code in {"duplicate_meter_event", "resource_already_exists"}:
        return True
    return "already exists with identifier" in (error.user_message or "")


def _meter_of(item: stripe.SubscriptionItem) -> str | None:
    return item.price.recurring.meter if item.price.recurring is not None else None


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _invoice(found: stripe.Invoice) -> Invoice:
    return Invoice(
        id=str(found.id),
        number=found.number,
        status=found.status or "draft",
        total_usd=Decimal(found.total) / 100,
        due_usd=Decimal(found.amount_remaining) / 100,
        created_at=_moment(found.created),
        period_start=_moment(found.period_start),
        period_end=_moment(found.period_end),
        pdf_url=found.invoice_pdf,
        page_url=found.hosted_invoice_url,
    )
