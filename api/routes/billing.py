"""Cards and invoices, which are Stripe's to keep, and what Stripe tells us (API-27, API-45)."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Security

from api.dependencies import ServicesDep, SessionDep
from api.pagination import Cursor
from api.schemas.billing import InvoiceOut, InvoicesPage, PageOut, Received
from api.schemas.errors import ErrorOut
from api.schemes import stripe_scheme
from api.services import Services
from core.accounts.home import require_home
from core.accounts.sessions import Login
from core.billing import notices
from core.billing.stripe_models import BillingAccount
from core.errors import BadInput, Issue

ACCOUNT_PAGE: Final = "/account/billing"
INVOICE_ID: Final = re.compile(r"in_[A-Za-z0-9_]{1,120}")
# Stripe's own limit.
InvoiceLimit = Annotated[int, Query(ge=1, le=99, description="How many to return at most.")]

router = APIRouter()
account = APIRouter(
    prefix="/api/v1/billing",
    tags=["account"],
    responses={code: {"model": ErrorOut} for code in (400, 401, 404, 429, 500, 502, 503)},
)


@account.post("/portal", operation_id="openBillingPortal", status_code=201)
async def portal(login: SessionDep, services: ServicesDep) -> PageOut:
    """Stripe's page for cards, mandates, tax ids, the billing address and cancelling (BL-20)."""
    customer = await _customer(services, login)
    return PageOut(url=await services.payments.portal_url(customer, _back(services)))


@account.post("/setup", operation_id="addPaymentMethod", status_code=201)
async def setup(login: SessionDep, services: ServicesDep) -> PageOut:
    """Stripe's page for adding a card or a mandate; dispatching is possible right after it."""
    customer = await _customer(services, login)
    return PageOut(url=await services.payments.setup_url(customer, _back(services)))


@account.get("/invoices", operation_id="listInvoices")
async def invoices(
    login: SessionDep, services: ServicesDep, limit: InvoiceLimit = 50, cursor: Cursor = None
) -> InvoicesPage:
    """The team's invoices, newest first, as Stripe has them."""
    if cursor is not None and not INVOICE_ID.fullmatch(cursor):
        message = "Pass the nextCursor of the page before, unchanged, or none for the first page."
        raise BadInput(message, [Issue(("cursor",), "invalid_cursor", message)])
    async with services.database.begin() as session:
        known = await session.get(BillingAccount, login.team_id)
    if known is None or known.customer_id is None:
        return InvoicesPage(data=[], next_cursor=None)
    found = await services.payments.invoices(known.customer_id, limit=limit + 1, after=cursor)
    page = found[:limit]
    more = page[-1].id if len(found) > limit else None
    return InvoicesPage(data=[InvoiceOut.of(one) for one in page], next_cursor=more)


@router.post(
    "/webhooks/stripe",
    operation_id="takeStripeEvent",
    tags=["admin"],
    responses={code: {"model": ErrorOut} for code in (400, 409, 500, 503)},
)
async def stripe_event(
    request: Request, services: ServicesDep, _: Annotated[object, Security(stripe_scheme)]
) -> Received:
    """Take an event of Stripe's; each is dealt with once, unknown ones are ignored (API-83)."""
    require_home(services.settings.identities)
    body = await request.body()
    notice = services.payments.read_notice(body, request.headers.get("stripe-signature"))
    async with services.database.begin() as session:
        await notices.take(session, notice, now=services.clock.now())
    return Received()


async def _customer(services: Services, login: Login) -> str:
    found = await services.customers.ensure(login.team_id)
    return str(found.customer_id)


def _back(services: Services) -> str:
    return f"{services.settings.api.login_url}{ACCOUNT_PAGE}"


router.include_router(account)
