"""The operator's `bill`: exit codes and what it says (D15, BL-26)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console
from typer.testing import CliRunner

from core.accounts.models import Team
from core.billing.customers import Customers
from core.billing.reporting import MeterReporter
from core.billing.stripe_client import StripePayments
from core.database import Database
from core.errors import BadInput, NotFound
from core.secrets import SecretBox
from core.settings import BillingSettings, Settings, StorageSettings
from meetbot_server import bills
from meetbot_server.cli import app
from tests.support.billing import record
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.stripe_server import KEY, StripeServer

pytestmark = pytest.mark.integration


@pytest.fixture
async def book(database: Database, box: SecretBox, clock: ManualClock) -> JobBook:
    return await JobBook.open(database, box, clock)


@pytest.fixture
def settings(database_url: SecretStr, encryption_key: SecretStr, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        database_url=database_url,
        encryption_keys=(encryption_key,),
        storage=StorageSettings(link_secret=SecretStr("s")),
    )


async def test_a_check_says_what_each_team_was_billed(book: JobBook, settings: Settings) -> None:
    """A recording whose manifest is gone is counted, and no difference."""
    await record(book, 600, transcribed=True)
    (audit,) = await bills.audit(settings, book.clock, book.team_id)
    assert audit.differences == []
    console = Console(record=True, width=200)
    bills.show(audit, console)
    said = console.export_text()
    assert "1 jobs, $0.067 by the manifests, $0.067 by usage events" in said
    assert "credit $4.933 of $5.000; rates $0.100, $0.300" in said
    assert "2 waiting" in said
    assert "1 without a manifest" in said


async def test_unknown_teams_are_said_to_be_so(book: JobBook, settings: Settings) -> None:
    with pytest.raises(NotFound, match="team_none"):
        await bills.audit(settings, book.clock, "team_none")
    with pytest.raises(NotFound, match="team_none"):
        await bills.grant(settings, book.clock, "team_none", Decimal(1), "")


async def test_credit_and_rates_are_the_operators(book: JobBook, settings: Settings) -> None:
    """BL-26."""
    said = await bills.grant(settings, book.clock, book.team_id, Decimal("20.00"), "pilot")
    assert "$25.000" in said
    assert "$0.24 an hour" in await bills.set_rate(settings, book.team_id, Decimal("0.24"))
    async with book.database.begin() as session:
        assert (await session.get_one(Team, book.team_id)).rate_usd_per_hour == Decimal("0.24")
    assert "list price" in await bills.set_rate(settings, book.team_id, None)
    async with book.database.begin() as session:
        assert (await session.get_one(Team, book.team_id)).rate_usd_per_hour is None


async def test_stripe_is_set_up_by_a_command(
    book: JobBook, settings: Settings, stripe_server: StripeServer
) -> None:
    """BL-17, BL-18."""
    with pytest.raises(BadInput, match="STRIPE_KEY"):
        await bills.set_up_stripe(settings, book.clock)
    billing = BillingSettings(stripe_key=SecretStr(KEY), stripe_api=stripe_server.origin)
    said = await bills.set_up_stripe(settings.model_copy(update={"billing": billing}), book.clock)
    assert all(price in said for price in stripe_server.prices)


async def test_a_check_asks_stripe_where_there_is_a_key(
    book: JobBook, settings: Settings, stripe_server: StripeServer
) -> None:
    """D15, BL-17: what Stripe lost is named, sent again by a command, and then it agrees."""
    billing = BillingSettings(
        stripe_key=SecretStr(KEY), stripe_api=stripe_server.origin, network_retries=0
    )
    settings = settings.model_copy(update={"billing": billing})
    job = await record(book, 4253)
    payments = StripePayments(billing, SecretStr(KEY))
    customers = Customers(book.database, payments, book.clock, billing.prices)
    reporter = MeterReporter(book.database, payments, customers, book.clock)
    await reporter.drain()
    (lost,) = stripe_server.counted
    stripe_server.counted.clear()
    book.clock.advance(2 * 3600)
    (audit,) = await bills.audit(settings, book.clock, book.team_id)
    (difference,) = audit.differences
    assert difference.startswith(
        f"2026-05 recording_hours: Stripe counts 0 of {lost.customer}, it was told 1181; "
        f"1181 too few. It may be {job.id} (1181)."
    )
    said = await bills.resend(settings, book.clock, job.id, counted=False)
    assert "again" in said
    await reporter.drain()
    await payments.close()
    (audit,) = await bills.audit(settings, book.clock, book.team_id)
    assert audit.differences == []
    console = Console(record=True, width=200)
    bills.show(audit, console)
    assert "Stripe counts: recording_hours 1181, transcription_hours 0" in console.export_text()


@pytest.mark.parametrize("amount", ["a lot", "-1", "0.0001", "nan"])
def test_dollars_are_written_as_such(amount: str) -> None:
    found = CliRunner().invoke(app, ["bill", "rate", "team_1", "--", amount])
    assert found.exit_code == 2
    assert "0.24" in found.output
