"""A team's customer at Stripe: made when it is first needed, completed step by step."""

from __future__ import annotations

from typing import Final

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Team
from core.billing.models import CreditEntry
from core.billing.payments import Customer, Payments
from core.billing.stripe_models import BillingAccount, StripeGrant
from core.clock import Clock
from core.database import Database
from core.errors import NotFound
from core.jobs.settlement import prices_of
from core.prices import PriceList, Prices

# Grants told to Stripe in one call; the others are told by the next.
MOST_GRANTS: Final = 50


class Customers:
    """Makes customers. Each step is written down before the next one begins, and Stripe does a
    repeated one only once, so that any number of processes may do this at any time."""

    def __init__(
        self, database: Database, payments: Payments, clock: Clock, prices: PriceList
    ) -> None:
        self._database = database
        self._payments = payments
        self._clock = clock
        self._prices = prices

    async def ensure(self, team_id: str) -> BillingAccount:
        """The team's account with customer, credit and a subscription at its prices.

        Raises:
            NotFound: there is no such team, or nobody collects money here.
            PaymentServiceError: Stripe does not do it now; call again.
        """
        account = await self._customer(team_id)
        customer_id = account.customer_id
        if customer_id is None:
            raise NotFound(f"The team {team_id} has no customer.")
        await self._grant(team_id, customer_id)
        return await self._subscription(account, customer_id)

    async def _customer(self, team_id: str) -> BillingAccount:
        async with self._database.begin() as session:
            team = await session.get(Team, team_id)
            if team is None:
                raise NotFound(f"There is no team {team_id}.")
            added = insert(BillingAccount).values(team_id=team_id, generation=1)
            await session.exec(added.on_conflict_do_nothing())
            account = await session.get_one(BillingAccount, team_id)
        if account.customer_id is not None:
            return account
        made = await self._payments.create_customer(
            Customer(f"{team_id}-{account.generation}", team_id, team.name)
        )
        async with self._database.begin() as session:
            row = await _locked(session, team_id)
            if row.generation == account.generation:
                row.customer_id = row.customer_id or made
        return row

    async def _grant(self, team_id: str, customer_id: str) -> None:
        """Tell Stripe of the credit that it does not know of yet."""
        known = select(StripeGrant.entry_id).where(StripeGrant.customer_id == customer_id)
        statement = (
            select(CreditEntry)
            .where(CreditEntry.team_id == team_id, col(CreditEntry.id).not_in(known))
            .order_by(col(CreditEntry.id))
            .limit(MOST_GRANTS)
        )
        async with self._database.begin() as session:
            entries = (await session.exec(statement)).all()
        for entry in entries:
            grant = await self._payments.grant_credit(customer_id, entry.id, entry.amount_usd)
            row = StripeGrant(
                entry_id=entry.id,
                customer_id=customer_id,
                grant_id=grant,
                granted_at=self._clock.now(),
            )
            async with self._database.begin() as session:
                added = insert(StripeGrant).values(**row.model_dump())
                await session.exec(added.on_conflict_do_nothing())

    async def _subscription(self, account: BillingAccount, customer_id: str) -> BillingAccount:
        now = self._clock.now()
        async with self._database.begin() as session:
            team = await session.get_one(Team, account.team_id)
        prices = prices_of(team, self._prices, now)
        if account.subscription_id is not None and account.subscribed_prices == _text(prices):
            return account
        if account.subscription_id is not None:
            await self._payments.change_prices(account.subscription_id, prices)
            made = None
        else:
            reference = f"{account.team_id}-{account.generation}"
            made = await self._payments.subscribe(customer_id, reference, prices)
        async with self._database.begin() as session:
            row = await _locked(session, account.team_id)
            if made is not None:
                row.subscription_id, row.subscribed_at = made.id, made.started_at
            row.subscribed_prices = _text(prices)
        return row


async def _locked(session: AsyncSession, team_id: str) -> BillingAccount:
    return await session.get_one(
        BillingAccount, team_id, with_for_update=True, populate_existing=True
    )


def _text(prices: Prices) -> str:
    return f"{prices.recording.normalize():f}/{prices.transcription.normalize():f}"
