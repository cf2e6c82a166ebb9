"""Stripe on loopback: localstripe for what it can do, a replica for what it lacks.

The replica answers Billing Meters, prices, subscriptions, credit grants, the portal and Checkout,
and refuses what Stripe's own package does not declare (`stripe_shapes`). Customers, payment
methods, setup intents and invoices are passed on to localstripe.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx
import stripe
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from core.clock import Clock
from tests.support.api_server import running_api
from tests.support.stripe_clocks import StripeClocks
from tests.support.stripe_shapes import checked

KEY: Final = "sk_test_replica"
WEBHOOK_SECRET: Final = "whsec_of_the_replica"
OLDEST: Final = timedelta(days=35)
FARTHEST: Final = timedelta(minutes=5)
# Stripe promises to know an identifier for a day, and no longer.
REMEMBERED: Final = timedelta(days=1)


@dataclass(frozen=True)
class Counted:
    """A meter event that was taken."""

    event_name: str
    identifier: str
    customer: str
    value: int
    at: int
    taken_at: datetime


@dataclass
class StripeServer:
    """`faults` are used up in order by meter events: a status to answer with, negative to take
    the event all the same."""

    clock: Clock
    upstream: httpx.AsyncClient
    origin: str = ""
    faults: list[int] = field(default_factory=list)
    down: bool = False
    counted: list[Counted] = field(default_factory=list)
    meters: dict[str, dict[str, Any]] = field(default_factory=dict)
    prices: dict[str, dict[str, Any]] = field(default_factory=dict)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    grants: list[dict[str, Any]] = field(default_factory=list)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    replayed: dict[str, tuple[int, Any]] = field(default_factory=dict)
    clocks: StripeClocks = field(init=False)

    def __post_init__(self) -> None:
        self.clocks = StripeClocks(self._id, self.cost, self.granted)

    # --- what tests look at -------------------------------------------------------------------

    def units(self, customer: str, event_name: str) -> int:
        mine = (
            c.value for c in self.counted if (c.customer, c.event_name) == (customer, event_name)
        )
        return sum(mine)

    def amounts(self, customer: str) -> list[Decimal]:
        """Each event at the price of the customer's subscription, in dollars, to the thousandth."""
        unit = self._unit_usd(customer)
        return [
            (c.value * unit[c.event_name]).quantize(Decimal("0.001"), ROUND_HALF_UP)
            for c in self.counted
            if c.customer == customer
        ]

    def invoiced(self, customer: str) -> Decimal:
        """What Stripe would invoice: the sum of the units times their price, in dollars."""
        unit = self._unit_usd(customer)
        return sum((self.units(customer, name) * price for name, price in unit.items()), Decimal(0))

    def cost(self, customer: str, start: datetime, end: datetime) -> Decimal:
        """What the usage of a period costs, in dollars."""
        unit = self._unit_usd(customer)
        window = range(int(start.timestamp()), int(end.timestamp()))
        mine = (c for c in self.counted if c.customer == customer and c.at in window)
        return sum((c.value * unit[c.event_name] for c in mine), Decimal(0))

    def granted(self, customer: str) -> Decimal:
        """The customer's credit, in dollars."""
        cents = (g["amount"]["monetary"]["value"] for g in self.grants if g["customer"] == customer)
        return Decimal(sum(cents)) / 100

    def _unit_usd(self, customer: str) -> dict[str, Decimal]:
        (mine,) = (s for s in self.subscriptions.values() if s["customer"] == customer)
        names = {meter["id"]: meter["event_name"] for meter in self.meters.values()}
        return {
            names[item["price"]["recurring"]["meter"]]: Decimal(
                str(item["price"]["unit_amount_decimal"])
            )
            / 100
            for item in mine["items"]["data"]
        }

    def signed(
        self,
        kind: str,
        told: dict[str, Any],
        *,
        previous: dict[str, Any] | None = None,
        event_id: str | None = None,
    ) -> tuple[bytes, str]:
        """An event as Stripe sends it: the body and its signature."""
        event = {
            "id": event_id or f"evt_{next(self.numbers)}",
            "object": "event",
            "type": kind,
            "created": int(self.clock.now().timestamp()),
            "data": {"object": told} | ({"previous_attributes": previous} if previous else {}),
        }
        body = json.dumps(event)
        header = stripe.WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET)
        return body.encode(), header

    async def add_card(self, customer: str) -> dict[str, Any]:
        """What a person does on Checkout's page; the payment method."""
        method = await self._local("POST", "/v1/payment_methods", _CARD)
        attach = f"/v1/payment_methods/{method['id']}/attach"
        return await self._local("POST", attach, {"customer": customer})

    async def remove_card(self, method_id: str) -> dict[str, Any]:
        return await self._local("POST", f"/v1/payment_methods/{method_id}/detach", {})

    async def invoice(self, customer: str, usd: int) -> None:
        """Have localstripe make an invoice and collect it; it makes them of subscriptions only."""
        method = await self.add_card(customer)
        default = {"invoice_settings[default_payment_method]": method["id"]}
        await self._local("POST", f"/v1/customers/{customer}", default)
        plan = {"amount": f"{usd}00", "currency": "usd", "interval": "month", "product[name]": "x"}
        made = await self._local("POST", "/v1/plans", plan)
        wanted = {"customer": customer, "items[0][plan]": made["id"]}
        await self._local("POST", "/v1/subscriptions", wanted)

    async def _local(self, method: str, path: str, fields: dict[str, str]) -> dict[str, Any]:
        answer = await self.upstream.request(method, path, data=fields)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    # --- what it answers ----------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        body = (await request.body()).decode()
        self.asked.append(f"{request.method} {path}")
        if self.down:
            return _error(503, "Stripe is down.", "api_error")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "Invalid API Key provided: sk_****", "invalid_request_error")
        key = request.headers.get("idempotency-key")
        if key in self.replayed:
            status, told = self.replayed[key]
            return JSONResponse(told, status)
        sent = dict(parse_qsl(body or request.url.query, keep_blank_values=True))
        response = await self._do(request, path, body, sent)
        if key is not None and request.method == "POST":
            self.replayed[key] = response.status_code, json.loads(bytes(response.body))
        return response

    async def _do(self, request: Request, path: str, body: str, sent: dict[str, str]) -> Response:
        for shape, do in _OWN.items():
            found = re.fullmatch(shape.replace("{id}", "([^/]+)"), f"{request.method} {path}")
            if found is None:
                continue
            try:
                told = do(self, checked(shape, sent), *found.groups())
            except ValidationError as error:
                return _error(400, f"Received unknown or bad parameters: {error}")
            except ValueError as error:
                return _error(400, str(error))
            return told if isinstance(told, Response) else JSONResponse(told)
        return await self._pass_on(request, path, body, sent)

    async def _pass_on(
        self, request: Request, path: str, body: str, sent: dict[str, str]
    ) -> Response:
        if f"{request.method} {path}" in {"POST /v1/customers", "GET /v1/invoices"}:
            try:
                checked(f"{request.method} {path}", sent)
            except ValidationError as error:
                return _error(400, f"Received unknown or bad parameters: {error}")
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await self.upstream.request(
            request.method,
            path,
            params=str(request.url.query) or None,
            content=body.encode(),
            headers=headers if body else {},
        )
        told = answer.json()
        if path == "/v1/invoices" and answer.is_success:
            theirs = [_completed(invoice) for invoice in told["data"]]
            told["data"] = self.clocks.invoices(sent.get("customer", "")) + theirs
        return JSONResponse(told, answer.status_code)

    def _meter_event(self, fields: dict[str, Any]) -> Response | dict[str, Any]:
        status = self.faults.pop(0) if self.faults else 200
        if status in {429, 500, 503}:
            return _error(status, "Try again.", "api_error")
        at, payload = int(fields["timestamp"]), fields["payload"]
        now = self.clocks.now_of(payload["stripe_customer_id"]) or self.clock.now()
        if not now - OLDEST <= datetime.fromtimestamp(at, now.tzinfo) <= now + FARTHEST:
            return _error(400, "The timestamp must be within the past 35 calendar days.")
        if fields["event_name"] not in {meter["event_name"] for meter in self.meters.values()}:
            return _error(400, f"No active meter found with event name {fields['event_name']}.")
        value = payload["value"]
        if not value.isdigit():
            return _error(400, "The value must be a whole number.")
        identifier = fields["identifier"]
        if any(c.identifier == identifier and now - c.taken_at < REMEMBERED for c in self.counted):
            return _error(400, f"An event already exists with identifier {identifier}.")
        self.counted.append(
            Counted(
                fields["event_name"], identifier, payload["stripe_customer_id"], int(value), at, now
            )
        )
        if status < 0:
            return _error(-status, "It was taken, and the answer was lost.", "api_error")
        return {"object": "billing.meter_event", "identifier": identifier, "timestamp": at}

    def _make_meter(self, fields: dict[str, Any]) -> dict[str, Any]:
        meter = {"id": self._id("mtr"), "object": "billing.meter", "status": "active", **fields}
        self.meters[meter["id"]] = meter
        return meter

    def _list_meters(self, _: dict[str, Any]) -> dict[str, Any]:
        return _listed(list(self.meters.values()))

    def _summaries(self, fields: dict[str, Any], meter: str) -> Response | dict[str, Any]:
        if fields["start_time"] % 60 or fields["end_time"] % 60:
            return _error(400, "Times must be aligned with minute boundaries.")
        name = self.meters[meter]["event_name"]
        total = sum(
            c.value
            for c in self.counted
            if (c.customer, c.event_name) == (fields["customer"], name)
            and fields["start_time"] <= c.at < fields["end_time"]
        )
        return _listed([{"object": "billing.meter_event_summary", "aggregated_value": total}])

    def _make_price(self, fields: dict[str, Any]) -> Response | dict[str, Any]:
        if fields["recurring"]["meter"] not in self.meters:
            return _error(400, "No such meter.")
        price = {"id": self._id("price"), "object": "price", **fields}
        price["unit_amount_decimal"] = f"{fields['unit_amount_decimal']:f}"
        self.prices[price["id"]] = price
        return price

    def _list_prices(self, fields: dict[str, Any]) -> dict[str, Any]:
        wanted = fields.get("lookup_keys", [])
        return _listed([p for p in self.prices.values() if p["lookup_key"] in wanted])

    def _subscribe(self, fields: dict[str, Any]) -> dict[str, Any]:
        items = [
            {"id": self._id("si"), "object": "subscription_item", "price": self.prices[i["price"]]}
            for i in fields["items"]
        ]
        made = {
            **fields,
            "id": self._id("sub"),
            "object": "subscription",
            "created": int(self.clock.now().timestamp()),
            "items": _listed(items),
        }
        self.subscriptions[made["id"]] = made
        return made

    def _list_items(self, fields: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.subscriptions[fields["subscription"]]["items"]
        return found

    def _change_item(self, fields: dict[str, Any], item_id: str) -> dict[str, Any]:
        for subscription in self.subscriptions.values():
            for item in subscription["items"]["data"]:
                if item["id"] == item_id:
                    item["price"] = self.prices[fields["price"]]
                    changed: dict[str, Any] = item
                    return changed
        raise KeyError(item_id)

    def _grant(self, fields: dict[str, Any]) -> dict[str, Any]:
        grant = {"id": self._id("credgr"), "object": "billing.credit_grant", **fields}
        self.grants.append(grant)
        return grant

    def _make_clock(self, fields: dict[str, Any]) -> dict[str, Any]:
        return self.clocks.create(fields)

    def _read_clock(self, _: dict[str, Any], clock_id: str) -> dict[str, Any]:
        return self.clocks.read(clock_id)

    def _advance_clock(self, fields: dict[str, Any], clock_id: str) -> dict[str, Any]:
        return self.clocks.advance(clock_id, fields)

    def _portal(self, fields: dict[str, Any]) -> dict[str, Any]:
        return self._page("bps", "billing_portal.session", fields)

    def _checkout(self, fields: dict[str, Any]) -> Response | dict[str, Any]:
        if fields.get("mode") != "setup" or "currency" not in fields:
            return _error(400, "Setup mode needs a currency or payment method types.")
        return self._page("cs", "checkout.session", fields)

    def _page(self, prefix: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        made = {"id": self._id(prefix), "object": kind, **fields}
        made["url"] = f"https://stripe.example/{made['id']}"
        self.sessions[made["id"]] = made
        return made

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{next(self.numbers)}"


_CARD: Final = {
    "type": "card",
    "card[number]": "4242424242424242",
    "card[exp_month]": "12",
    "card[exp_year]": "2030",
    "card[cvc]": "123",
}
_OWN: Final[dict[str, Any]] = {
    "POST /v1/billing/meter_events": StripeServer._meter_event,
    "GET /v1/billing/meters/{id}/event_summaries": StripeServer._summaries,
    "POST /v1/subscription_items/{id}": StripeServer._change_item,
    "POST /v1/billing/meters": StripeServer._make_meter,
    "GET /v1/billing/meters": StripeServer._list_meters,
    "POST /v1/billing/credit_grants": StripeServer._grant,
    "POST /v1/billing_portal/sessions": StripeServer._portal,
    "POST /v1/checkout/sessions": StripeServer._checkout,
    "POST /v1/prices": StripeServer._make_price,
    "GET /v1/prices": StripeServer._list_prices,
    "POST /v1/subscriptions": StripeServer._subscribe,
    "GET /v1/subscription_items": StripeServer._list_items,
    "POST /v1/test_helpers/test_clocks": StripeServer._make_clock,
    "GET /v1/test_helpers/test_clocks/{id}": StripeServer._read_clock,
    "POST /v1/test_helpers/test_clocks/{id}/advance": StripeServer._advance_clock,
}


@asynccontextmanager
async def running_stripe(clock: Clock, localstripe: str) -> AsyncIterator[StripeServer]:
    """The replica before a running localstripe, whose data are dropped first."""
    async with httpx.AsyncClient(
        base_url=localstripe, headers={"authorization": f"Bearer {KEY}"}, trust_env=False
    ) as upstream:
        await upstream.delete("/_config/data")
        server = StripeServer(clock, upstream)
        app = FastAPI(openapi_url=None)
        methods = ["GET", "POST", "DELETE"]
        app.add_api_route("/{path:path}", server.answer, methods=methods, response_model=None)
        async with running_api(app) as origin:
            server.origin = origin
            yield server


def _completed(invoice: dict[str, Any]) -> dict[str, Any]:
    """With what Stripe's invoices have and localstripe's lack."""
    page = f"https://stripe.example/{invoice['id']}"
    return {
        "number": None,
        "created": invoice["date"],
        "amount_remaining": invoice["amount_due"] - invoice["amount_paid"],
        "invoice_pdf": f"{page}.pdf",
        "hosted_invoice_url": page,
    } | invoice


def _listed(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": data, "has_more": False, "url": "/v1/list"}


def _error(status: int, message: str, kind: str = "invalid_request_error") -> Response:
    return JSONResponse({"error": {"type": kind, "message": message}}, status)
