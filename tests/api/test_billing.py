"""Cards, invoices and who may dispatch, over HTTP (API-27, API-45, API-83, BL-21 to 25)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
import stripe
from pydantic import SecretStr
from sqlmodel import func, select

from core.billing.stripe_models import BillingAccount, PaymentMethodSeen, StripeNoticeSeen
from core.jobs.models import Job
from core.settings import BillingSettings, Settings
from tests.api.conftest import MEET, Api, key_of
from tests.api.credentials import LoggedIn, ask, log_in
from tests.support.billing import record
from tests.support.stripe_server import KEY, WEBHOOK_SECRET, StripeServer

pytestmark = pytest.mark.integration

ALL_CREDIT = 60_000


@pytest.fixture
def settings(settings: Settings, stripe_server: StripeServer) -> Settings:
    """An installation that collects money."""
    billing = BillingSettings(
        stripe_key=SecretStr(KEY),
        stripe_webhook_secret=SecretStr(WEBHOOK_SECRET),
        stripe_api=stripe_server.origin,
        network_retries=0,
    )
    return settings.model_copy(update={"billing": billing})


@dataclass
class Shop:
    """A person of the team that `api.live` is a key of, and Stripe."""

    api: Api
    stripe: StripeServer
    person: LoggedIn

    async def dispatch(self, **body: Any) -> httpx.Response:
        return await self.api.live.post("/api/v1/jobs", json={"meetingUrl": MEET} | body)

    async def ask(self, method: str, path: str) -> httpx.Response:
        return await ask(self.api, method, f"/api/v1/billing/{path}", self.person.credential)

    async def tell(self, kind: str, told: dict[str, Any], **more: Any) -> httpx.Response:
        body, signature = self.stripe.signed(kind, told, **more)
        return await self.send(body, {"stripe-signature": signature})

    async def send(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return await self.api.anonymous.post("/webhooks/stripe", content=body, headers=headers)

    async def customer(self) -> str:
        """The team's, made by asking for the page where a card is added."""
        answer = await self.ask("POST", "setup")
        assert answer.status_code == 201, answer.text
        return str((await self.account()).customer_id)

    async def account(self) -> BillingAccount:
        async with self.api.book.database.begin() as session:
            return await session.get_one(BillingAccount, self.api.book.team_id)

    async def add_card(self) -> dict[str, Any]:
        method = await self.stripe.add_card(await self.customer())
        assert (await self.tell("payment_method.attached", method)).status_code == 200
        return method

    async def jobs(self) -> int:
        async with self.api.book.database.begin() as session:
            return (await session.exec(select(func.count()).select_from(Job))).one()


@pytest.fixture
async def shop(api: Api, stripe_server: StripeServer) -> Shop:
    person = await log_in(api.book, "ada@example.com")
    # The key's team is hers from now on.
    api.book.team_id = person.team_id
    api.live.headers["authorization"] = f"Bearer {await key_of(api.book, livemode=True)}"
    return Shop(api, stripe_server, person)


@pytest.mark.parametrize("card", [False, True], ids=["no-card", "card"])
@pytest.mark.parametrize("spent", [False, True], ids=["credit", "no-credit"])
async def test_a_team_dispatches_with_credit_or_a_card(shop: Shop, spent: bool, card: bool) -> None:
    """BL-21: the four cells."""
    if card:
        await shop.add_card()
    if spent:
        await record(shop.api.book, ALL_CREDIT)
    before = await shop.jobs()
    answer = await shop.dispatch()
    if spent and not card:
        assert (answer.status_code, answer.json()["code"]) == (402, "credit_exhausted")
        assert answer.json()["error"] == "payment_required"
        assert "/account/billing" in answer.json()["message"]
        assert await shop.jobs() == before
    else:
        assert answer.status_code == 201, answer.text


async def test_a_thousandth_of_a_dollar_is_enough_to_start(shop: Shop) -> None:
    """BL-24: credit may go below zero while jobs go on."""
    await record(shop.api.book, 59_988)
    assert (await shop.dispatch()).status_code == 201


async def test_test_jobs_need_no_credit(shop: Shop) -> None:
    """BL-10."""
    await record(shop.api.book, ALL_CREDIT)
    answer = await shop.api.test.post("/api/v1/jobs", json={"meetingUrl": MEET})
    assert answer.status_code == 201


async def test_the_same_job_is_found_again_without_credit(shop: Shop) -> None:
    """API-51: a replay makes nothing."""
    assert (await shop.dispatch(externalId="standup")).status_code == 201
    await record(shop.api.book, ALL_CREDIT)
    assert (await shop.dispatch(externalId="standup")).status_code == 200
    assert (await shop.dispatch(externalId="retro")).status_code == 402


async def test_adding_a_card_lifts_the_block_and_removing_it_brings_it_back(shop: Shop) -> None:
    """BL-25: at once, by Stripe's event."""
    await record(shop.api.book, ALL_CREDIT)
    assert (await shop.dispatch()).status_code == 402
    method = await shop.add_card()
    assert (await shop.dispatch()).status_code == 201
    gone = await shop.stripe.remove_card(method["id"])
    previous = {"customer": method["customer"]}
    await shop.tell("payment_method.detached", gone, previous=previous)
    assert (await shop.dispatch()).status_code == 402


async def test_the_last_word_on_a_card_does_not_depend_on_the_order(shop: Shop) -> None:
    """API-83: events overtake each other."""
    await record(shop.api.book, ALL_CREDIT)
    method = await shop.stripe.add_card(await shop.customer())
    gone = method | {"customer": None}
    await shop.tell("payment_method.detached", gone, previous={"customer": method["customer"]})
    await shop.tell("payment_method.attached", method)
    assert (await shop.dispatch()).status_code == 402


async def test_an_event_is_dealt_with_once(shop: Shop) -> None:
    """API-83: the same id again changes nothing, whatever it says."""
    customer = await shop.customer()
    told = {"id": customer, "email": "ada@example.com"}
    await shop.tell("customer.updated", told, event_id="evt_same")
    other = told | {"email": "eve@x.example"}
    again = await shop.tell("customer.updated", other, event_id="evt_same")
    assert (again.status_code, again.json()) == (200, {"received": True})
    assert (await shop.account()).email == "ada@example.com"


async def test_unknown_events_change_nothing(shop: Shop) -> None:
    """API-83."""
    answer = await shop.tell("charge.refunded", {"id": "ch_1"})
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    async with shop.api.book.database.begin() as session:
        assert (await session.exec(select(StripeNoticeSeen))).all() == []


@pytest.mark.parametrize("case", ["unsigned", "stale", "other-secret", "other-body"])
async def test_events_that_stripe_did_not_sign_just_now_change_nothing(
    shop: Shop, case: str
) -> None:
    """API-27, AU-19: 400, over the raw body, five minutes."""
    body, signature = shop.stripe.signed("payment_method.attached", {"id": "pm_1", "customer": "c"})
    sign = stripe.WebhookSignature.generate_signature_header
    now = int(time.time())
    headers = {
        "unsigned": {},
        "stale": {"stripe-signature": sign(body.decode(), WEBHOOK_SECRET, now - 301)},
        "other-secret": {"stripe-signature": sign(body.decode(), "whsec_no", now)},
        "other-body": {"stripe-signature": signature},
    }[case]
    sent = body + b" " if case == "other-body" else body
    answer = await shop.send(sent, headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    async with shop.api.book.database.begin() as session:
        assert (await session.exec(select(PaymentMethodSeen))).all() == []


async def test_a_customer_that_was_deleted_is_made_anew(shop: Shop) -> None:
    """API-83: its card no longer counts, and the next customer is another one."""
    await shop.add_card()
    await record(shop.api.book, ALL_CREDIT)
    first = await shop.customer()
    await shop.tell("customer.deleted", {"id": first})
    assert (await shop.dispatch()).status_code == 402
    second = await shop.customer()
    assert second != first
    assert len(shop.stripe.subscriptions) == 2


async def test_failing_payments_are_known_until_they_are_paid(shop: Shop) -> None:
    """API-83."""
    invoice = {"id": "in_1", "customer": await shop.customer()}
    await shop.tell("invoice.finalized", invoice)
    await shop.tell("invoice.payment_failed", invoice)
    assert (await shop.account()).payment_failed_at is not None
    await shop.tell("invoice.paid", invoice)
    assert (await shop.account()).payment_failed_at is None


async def test_checkout_tells_the_address_of_the_bill(shop: Shop) -> None:
    customer = await shop.customer()
    told = {"id": "cs_1", "customer": customer, "customer_details": {"email": "bill@x.example"}}
    await shop.tell("checkout.session.completed", told)
    assert (await shop.account()).email == "bill@x.example"


@pytest.mark.parametrize("page", ["portal", "setup"])
async def test_pages_are_stripes_for_the_teams_customer(shop: Shop, page: str) -> None:
    """API-45."""
    answer = await shop.ask("POST", page)
    assert answer.status_code == 201
    (made,) = shop.stripe.sessions.values()
    assert answer.json() == {"url": made["url"]}
    assert made["customer"] == (await shop.account()).customer_id
    back = made.get("return_url") or made.get("success_url")
    assert str(back).endswith("/account/billing")


async def test_invoices_are_those_that_stripe_has(shop: Shop) -> None:
    """API-45: localstripe's, in pages."""
    assert (await shop.ask("GET", "invoices")).json() == {"data": [], "nextCursor": None}
    customer = await shop.customer()
    for usd in (5, 7, 9):
        await shop.stripe.invoice(customer, usd)
    first = (await shop.ask("GET", "invoices?limit=2")).json()
    second = (await shop.ask("GET", f"invoices?limit=2&cursor={first['nextCursor']}")).json()
    found = first["data"] + second["data"]
    assert second["nextCursor"] is None
    assert sorted(Decimal(str(one["totalUsd"])) for one in found) == [5, 7, 9]
    assert {one["status"] for one in found} == {"paid"}
    assert {one["dueUsd"] for one in found} == {0}
    assert (await shop.ask("GET", "invoices?cursor=nonsense")).status_code == 400


async def test_stripe_away_is_said_so_without_its_words(shop: Shop) -> None:
    """API-45: 502, and nothing of the key."""
    shop.stripe.down = True
    answer = await shop.ask("POST", "portal")
    assert (answer.status_code, answer.json()["code"]) == (502, "payment_service_error")
    assert "Stripe" not in answer.json()["message"]


async def test_keys_do_not_open_the_till(shop: Shop) -> None:
    """API-45: people only."""
    assert (await shop.api.live.post("/api/v1/billing/portal")).status_code == 401


async def test_strangers_are_other_customers(shop: Shop) -> None:
    await shop.customer()
    eve = await log_in(shop.api.book, "eve@example.com")
    answer = await ask(shop.api, "GET", "/api/v1/billing/invoices", eve.credential)
    assert answer.json() == {"data": [], "nextCursor": None}
