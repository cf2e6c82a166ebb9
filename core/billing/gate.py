"""Who may dispatch: a team with credit left, or with a payment method on file (BL-21 to 25)."""

from __future__ import annotations

from typing import Final

from sqlmodel import col, not_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing import credit
from core.billing.stripe_models import BillingAccount, PaymentMethodSeen
from core.errors import PaymentRequired, QuotaExceeded
from core.jobs.models import Job

EXHAUSTED: Final = "The team's credit is used up. Add a card at /account/billing to go on."


async def may_dispatch(session: AsyncSession, team_id: str) -> bool:
    """Whether the team may send bots to live meetings.

    The card comes first: a team without one has spent its small credit at the most, so that its
    usage is quickly summed.
    """
    if await has_payment_method(session, team_id):
        return True
    return await credit.remaining(session, team_id) > 0


async def has_payment_method(session: AsyncSession, team_id: str) -> bool:
    """Whether Stripe has a card or mandate of the team."""
    statement = (
        select(PaymentMethodSeen.id)
        .join(BillingAccount, col(BillingAccount.customer_id) == col(PaymentMethodSeen.customer_id))
        .where(BillingAccount.team_id == team_id, not_(col(PaymentMethodSeen.detached)))
        .limit(1)
    )
    return (await session.exec(statement)).first() is not None


async def check_created(session: AsyncSession, job: Job, *, enabled: bool) -> None:
    """Refuse a new job of a team that cannot pay; the caller rolls its row back (BL-22).

    Raises:
        PaymentRequired: neither credit nor card.
    """
    if enabled and job.livemode and not await may_dispatch(session, job.team_id):
        raise PaymentRequired(EXHAUSTED)


async def check_due(session: AsyncSession, job: Job, *, enabled: bool) -> None:
    """Refuse to start a job that was created while its team could still pay (BL-23).

    Raises:
        QuotaExceeded: neither credit nor card.
    """
    if enabled and job.livemode and not await may_dispatch(session, job.team_id):
        raise QuotaExceeded(EXHAUSTED)
