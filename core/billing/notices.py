"""What Stripe tells us, each event dealt with once (API-83).

Events come in any order and more than once. A payment method that was detached is never attached
again, so that its last state does not depend on the order; nothing else needs one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing.payments import Notice
from core.billing.stripe_models import BillingAccount, PaymentMethodSeen, StripeNoticeSeen

log = logging.getLogger(__name__)

# Stripe repeats an event for three days.
KEPT: Final = timedelta(days=30)


async def take(session: AsyncSession, notice: Notice, *, now: datetime) -> bool:
    """Do what the event means; False when it was dealt with before, or means nothing to us."""
    handler = _HANDLERS.get(notice.type)
    if handler is None:
        return False
    seen = StripeNoticeSeen(
        id=notice.id, type=notice.type, created_at=notice.created_at, received_at=now
    )
    fresh = await session.exec(
        insert(StripeNoticeSeen)
        .values(**seen.model_dump())
        .on_conflict_do_nothing()
        .returning(col(StripeNoticeSeen.id))
    )
    if fresh.one_or_none() is None:
        return False
    await handler(session, notice, now)
    return True


async def forget_notices(session: AsyncSession, *, now: datetime) -> None:
    """Drop the ids of events that are too old to come again."""
    await session.exec(
        delete(StripeNoticeSeen)
        .where(col(StripeNoticeSeen.received_at) < now - KEPT)
        .execution_options(synchronize_session=False)
    )


async def _attached(session: AsyncSession, notice: Notice, _: datetime) -> None:
    """BL-25: from now on the team may dispatch."""
    added = insert(PaymentMethodSeen).values(
        id=_id(notice), customer_id=notice.object.get("customer"), detached=False
    )
    kept = {"customer_id": added.excluded.customer_id}
    await session.exec(added.on_conflict_do_update(index_elements=["id"], set_=kept))


async def _detached(session: AsyncSession, notice: Notice, _: datetime) -> None:
    # Once detached, the object no longer names its customer.
    added = insert(PaymentMethodSeen).values(
        id=_id(notice), customer_id=notice.previous.get("customer"), detached=True
    )
    await session.exec(added.on_conflict_do_update(index_elements=["id"], set_={"detached": True}))


async def _checked_out(session: AsyncSession, notice: Notice, _: datetime) -> None:
    """A card was added by our own page: its `payment_method.attached` says which one."""
    account = await _account(session, notice.object.get("customer"))
    email = (notice.object.get("customer_details") or {}).get("email")
    if account is not None and email:
        account.email = str(email)


async def _customer_updated(session: AsyncSession, notice: Notice, _: datetime) -> None:
    account = await _account(session, _id(notice))
    if account is not None:
        account.email = notice.object.get("email") or None


async def _customer_deleted(session: AsyncSession, notice: Notice, _: datetime) -> None:
    """Its cards and its subscription are gone; the next usage makes a new customer."""
    account = await _account(session, _id(notice))
    if account is None:
        return
    account.generation += 1
    account.customer_id = account.subscription_id = None
    account.subscribed_at = account.subscribed_prices = None
    account.payment_failed_at = None


async def _invoice_finalized(_: AsyncSession, notice: Notice, __: datetime) -> None:
    # Invoices are read from Stripe when somebody looks at them (API-45).
    log.info("Stripe finalized the invoice %s", _id(notice))


async def _invoice_paid(session: AsyncSession, notice: Notice, _: datetime) -> None:
    account = await _account(session, notice.object.get("customer"))
    if account is not None:
        account.payment_failed_at = None


async def _payment_failed(session: AsyncSession, notice: Notice, _: datetime) -> None:
    """Stripe goes on trying, and writes to the customer; who has a card may dispatch (BL-21)."""
    account = await _account(session, notice.object.get("customer"))
    if account is not None:
        account.payment_failed_at = account.payment_failed_at or notice.created_at
        log.warning("an invoice of the team %s could not be collected", account.team_id)


async def _account(session: AsyncSession, customer_id: object) -> BillingAccount | None:
    if not isinstance(customer_id, str):
        return None
    statement = select(BillingAccount).where(BillingAccount.customer_id == customer_id)
    return (await session.exec(statement.with_for_update())).one_or_none()


def _id(notice: Notice) -> str:
    return str(notice.object["id"])


_Handler = Callable[[AsyncSession, Notice, datetime], Awaitable[None]]
_HANDLERS: Final[Mapping[str, _Handler]] = {
    "checkout.session.completed": _checked_out,
    "customer.deleted": _customer_deleted,
    "customer.updated": _customer_updated,
    "invoice.finalized": _invoice_finalized,
    "invoice.paid": _invoice_paid,
    "invoice.payment_failed": _payment_failed,
    "invoice.payment_succeeded": _invoice_paid,
    "payment_method.attached": _attached,
    "payment_method.detached": _detached,
}
