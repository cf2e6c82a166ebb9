"""What `meetbot-server bill` does: checks, credit, prices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

from rich.console import Console
from sqlmodel import col, select

from core.accounts.models import Team
from core.billing import credit, reporting
from core.billing.audit import Audit, check_team
from core.billing.stripe_check import check_stripe
from core.billing.stripe_client import StripePayments, create_payments
from core.clock import Clock
from core.database import Database
from core.errors import BadInput, NotFound
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.factory import create_storage
from core.storage.opening import Storages


async def audit(settings: Settings, clock: Clock, team_id: str | None) -> list[Audit]:
    """Check one team, or all; with Stripe's own sums where there is a key.

    Raises:
        NotFound: there is no such team.
        StorageError, PaymentServiceError: somebody who has to be asked does not answer.
    """
    async with _database(settings) as database:
        async with database.begin() as session:
            teams = select(Team.id).order_by(col(Team.id))
            if team_id is not None:
                teams = teams.where(Team.id == team_id)
            ids: Sequence[str] = (await session.exec(teams)).all()
        if team_id is not None and not ids:
            raise NotFound(f"There is no team {team_id}.")
        box, billing = SecretBox(settings.encryption_keys), settings.billing
        storages = Storages(create_storage(settings), database, box, settings.trusted_origins)
        payments = create_payments(billing)
        try:
            audits = []
            for one in ids:
                found = await check_team(
                    database, storages, one, billing.prices, unit=billing.meter_unit
                )
                await check_stripe(
                    database, payments, found, now=clock.now(), unit=billing.meter_unit
                )
                audits.append(found)
        finally:
            await payments.close()
        return audits


def show(audit: Audit, console: Console) -> None:
    """One team's check, a line for each thing that differs."""
    rates = ", ".join(f"${rate}" for rate in sorted(audit.rates)) or "none"
    console.print(
        f"{audit.team_id}: {audit.jobs} jobs, ${audit.recomputed_usd} by the manifests, "
        f"${audit.events_usd} by usage events; credit ${audit.remaining_usd} of "
        f"${audit.granted_usd}; rates {rates}"
    )
    console.print(
        f"  Stripe was told: {_units(audit.units_sent)}; {audit.pending} waiting, "
        f"{audit.skipped} not owed"
    )
    if audit.units_counted:
        console.print(f"  Stripe counts: {_units(audit.units_counted)}")
    if audit.unverified:
        console.print(f"  {len(audit.unverified)} without a manifest in storage, taken as billed")
    for difference in audit.differences:
        console.print(f"  DIFFERS {difference}")


def _units(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing"


async def resend(settings: Settings, clock: Clock, identifier: str, *, counted: bool) -> str:
    """Settle a meter event that a person has looked up at Stripe; what to tell the operator.

    Raises:
        NotFound: there is no such event.
        BadInput: there is nothing to settle.
    """
    async with _database(settings) as database, database.begin() as session:
        await reporting.resend(
            session,
            identifier,
            counted=counted,
            unit=settings.billing.meter_unit,
            now=clock.now(),
        )
    return f"{identifier} is counted." if counted else f"{identifier} is told to Stripe again."


async def grant(settings: Settings, clock: Clock, team_id: str, usd: Decimal, note: str) -> str:
    """Add to the team's credit; what to tell the operator.

    Raises:
        NotFound: there is no such team.
        BadInput: these are no whole cents.
    """
    async with _database(settings) as database, database.begin() as session:
        if await session.get(Team, team_id) is None:
            raise NotFound(f"There is no team {team_id}.")
        await credit.grant(session, team_id, usd, note, now=clock.now())
        return f"{team_id} has ${await credit.remaining(session, team_id)} of credit."


async def set_rate(settings: Settings, team_id: str, usd: Decimal | None) -> str:
    """Give the team a price of its own, or the list price (None); what to tell the operator.

    Raises:
        NotFound: there is no such team.
    """
    async with _database(settings) as database, database.begin() as session:
        team = await session.get(Team, team_id, with_for_update=True)
        if team is None:
            raise NotFound(f"There is no team {team_id}.")
        team.rate_usd_per_hour = usd
    return f"{team_id} pays {'the list price' if usd is None else f'${usd} an hour'} from now on."


async def set_up_stripe(settings: Settings, clock: Clock) -> str:
    """Make what is missing at Stripe; what to tell the operator.

    Raises:
        BadInput: there is no key.
        PaymentServiceError: Stripe does not do it.
    """
    billing = settings.billing
    if billing.stripe_key is None:
        raise BadInput("Set MEETBOT_BILLING__STRIPE_KEY first.")
    payments = StripePayments(billing, billing.stripe_key)
    try:
        ids = await payments.set_up(billing.prices.at(clock.now()))
    finally:
        await payments.close()
    return f"Stripe has the meters and the prices {', '.join(ids)}."


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    if settings.database_url is None:
        raise BadInput("MEETBOT_DATABASE_URL is not set; start the stack with `make up` first.")
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        await database.close()
