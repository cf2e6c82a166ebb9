"""A team's customer at Stripe: made when it is first needed, completed step by step."""

from __future__ import annotations

from typing import Final

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Team
from core.billing.models import CreditEntry, UsageEvent
from core.billing.payments import Customer, Payments
from core.billing.stripe_models import BillingAccount, StripeGrant
from core.clock import Clock
from core.database import Database
from core.errors import NotFound
from core.jobs.models import Job
from core.jobs.settlement import prices_of
from core.prices import PriceList, Prices

# Grants told to Stripe in one call; the others are told by the next.
MOST_GRANTS: Final = 50
# Customers made in one call for usage of other regions.
MOST_TEAMS: Final = 50


class Customers:
    """Makes customers. Each step is written down before the next one begins, and Stripe does a
    repeated one only once, so that any number of processes may do this at any time.

    Args:
        home: whether customers are made here, or arrive from the region where they are (RG-07).
    """

    def __init__(
        self,
        database: Database,
        payments: Payments,
        clock: Clock,
        prices: PriceList,
        *,
        home: bool = True,
    ) -> None:
        self._database = database
        self._payments = payments
        self._clock = clock
        self._prices = prices
        self._home = home

    async def ensure(self, team_id: str) -> BillingAccount:
        """The team's account with customer, credit and a subscription at its prices.

        Raises:
            NotFound: there is no such team, or nobody collects money here.
            PaymentServiceError: Stripe does not do it now; call again.
        """
        if not self._home:
            return await self._arrived(team_id)
        account = await self._customer(team_id)
        customer_id = account.customer_id
        if customer_id is None:
            raise NotFound(f"The team {team_id} has no customer.")
        await self._grant(team_id, customer_id)
        return await self._subscription(account, customer_id)

    async def for_usage_elsewhere(self) -> None:
        """Make customers of teams that other regions have usage of, and no customer yet.

        Raises:
            PaymentServiceError: Stripe does not do it now; call again.
        """
        ready = col(BillingAccount.subscription_id).is_not(None)
        known = select(BillingAccount.team_id).where(ready)
        statement = (
            select(UsageEvent.team_id)
            .where(
                col(UsageEvent.billed),
                col(UsageEvent.livemode),
                col(UsageEvent.job_id).not_in(select(Job.id)),
                col(UsageEvent.team_id).not_in(known),
            )
            .distinct()
            .limit(MOST_TEAMS)
        )
        async with self._database.begin() as session:
            teams = (await session.exec(statement)).all()
        for team_id in teams:
            await self.ensure(team_id)

    async def _arrived(self, team_id: str) -> BillingAccount:
        async with self._database.begin() as session:
            account = await session.get(BillingAccount, team_id)
        if account is None or account.customer_id is None or account.subscription_id is None:
            raise NotFound(
                f"The customer of {team_id} has not arrived from the home region yet; it is made "
                "there when usage of this region has arrived."
            )
        return account

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
