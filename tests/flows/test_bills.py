"""Bills, from manifests that were handed over to what Stripe was told (D15).

A thousand random jobs (160 in the short suite) end through the code that ends them, the meter task
is repeated and dies at random, Stripe fails at random: manifests, ledger and Stripe agree to the
thousandth.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

import pytest
from pydantic import SecretStr
from sqlmodel import col, select

from core.accounts.models import Team
from core.accounts.service import create_team
from core.billing import credit
from core.billing.audit import Audit, check_team
from core.billing.customers import Customers
from core.billing.models import UsageEvent, UsageKind
from core.billing.reporting import MeterReporter
from core.billing.stripe_client import StripePayments
from core.billing.stripe_models import BillingAccount, MeterEvent
from core.database import Database
from core.errors import (
    BotFault,
    MeetingError,
    NetworkLoss,
    RemovedFromMeeting,
    TranscriptionError,
)
from core.ids import new_id
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.settlement import charge_transcript, settle
from core.jobs.spec import AutoLeavePolicy, RecordingOptions
from core.prices import PriceList
from core.recordings.manifest import MANIFEST_NAME, Manifest, with_transcript
from core.recordings.recording import Recording, Span
from core.secrets import SecretBox
from core.settings import BillingSettings, Settings
from core.storage.local import LocalStorage
from flows import delivery
from flows.outcome import Outcome
from flows.resources import Resources
from tests.support.clock import ManualClock
from tests.support.stripe_server import KEY, StripeServer
from transcription.transcript import Transcript

pytestmark = pytest.mark.integration

BATCHES: Final = 8
FREE_HOURS: Final = Decimal("20")
RATES: Final = (None, None, Decimal("0.24"), Decimal("0.195"))
HOUR: Final = 3600


class Died(Exception):
    """The meter task was killed before its transaction was committed."""


@dataclass
class Till:
    """Everything that a bill goes through, and chance."""

    resources: Resources
    stripe: StripeServer
    payments: StripePayments
    prices: PriceList
    chance: random.Random
    teams: list[Team] = field(default_factory=list)
    done: list[Job] = field(default_factory=list)

    @property
    def clock(self) -> ManualClock:
        return cast("ManualClock", self.resources.clock)

    async def jobs(self, count: int) -> Sequence[Job]:
        """That many, out of their rooms, of random teams."""
        rows = [self._row() for _ in range(count)]
        async with self.resources.database.begin() as session:
            session.add_all(rows)
        return rows

    def _row(self) -> Job:
        job_id, now = new_id("job"), self.clock.now()
        return Job(
            id=job_id,
            external_id=job_id,
            team_id=self.chance.choice(self.teams).id,
            livemode=self.chance.random() > 0.1,
            platform="meet",
            driver="meet",
            meeting_url="https://meet.google.com/abc-defg-hij",
            display_name="meetbot",
            auto_leave=AutoLeavePolicy().model_dump(mode="json"),
            recording=RecordingOptions().model_dump(mode="json"),
            transcription={"mode": self.chance.choice(["off", "addon", "addon", "byok"])},
            webhooks=None,
            labels={},
            region="eu",
            status=Status.FINALIZING,
            fence=1,
            created_at=now,
            updated_at=now,
        )

    def recording(self, job: Job) -> Recording:
        """Random media, with pauses and gaps that nobody pays for."""
        chance = self.chance
        seconds = chance.choice(
            [chance.randrange(0, 130), chance.randrange(60, 4000), chance.randrange(60, 4 * HOUR)]
        )
        pause, gap = chance.choice([0, 0, 700]), chance.choice([0, 0, 30])
        whole = timedelta(seconds=seconds + pause + gap)
        return Recording(
            job_id=job.id,
            started_at=self.clock.now() - whole,
            ended_at=self.clock.now(),
            recorded_seconds=seconds,
            exit_reason=ExitReason.CALL_ENDED,
            participants=(),
            media=(),
            pauses=(Span(0, pause * 1000, "requested"),) if pause else (),
            gaps=(Span(pause * 1000, (pause + gap) * 1000, "died"),) if gap else (),
        )

    def outcome(self, job: Job) -> Outcome:
        outcome = Outcome()
        fate = self.chance.random()
        if fate < 0.25:
            kinds: list[type[MeetingError]] = [RemovedFromMeeting, NetworkLoss, BotFault]
            outcome.fail(self.chance.choice(kinds)("It happened."))
        outcome.cancelled = fate > 0.95
        outcome.conclude(self.recording(job))
        return outcome

    async def end(self, job: Job) -> None:
        """Hand over, then meter: at random more than once, and once dying before the commit."""
        outcome = self.outcome(job)
        addon = job.transcription["mode"] == "addon"
        heard = addon and self.chance.random() > 0.2
        text = Transcript(
            job_id=job.id, provider="local", model="m", language="en", text="", segments=()
        )
        silence = TranscriptionError("Too slow.") if addon and not heard else None
        outcome.transcribed = heard
        outcome.manifest_uri = await delivery.hand_over(
            job, outcome, text if heard else None, silence, self.resources.storage
        )
        if self.chance.random() < 0.1:
            with pytest.raises(Died):
                await self.meter(job, outcome, dies=True)
        times = self.chance.choice([1, 1, 2, 3])
        await asyncio.gather(*(self.meter(job, outcome) for _ in range(times)))
        if heard and self.chance.random() < 0.2:
            for _ in range(self.chance.choice([1, 2])):
                await self.transcribe_again(job)
        self.done.append(job)

    async def meter(self, job: Job, outcome: Outcome, *, dies: bool = False) -> None:
        async with self.resources.database.begin() as session:
            await settle(
                session,
                job.id,
                outcome.settlement(),
                fence=1,
                now=self.clock.now(),
                prices=self.prices,
            )
            if dies:
                raise Died

    async def transcribe_again(self, job: Job) -> None:
        """A second transcript by the add-on; metered again, it is the same one."""
        storage = self.resources.storage
        key = f"recordings/{job.id}/{MANIFEST_NAME}"
        manifest = Manifest.model_validate_json(storage.get_bytes(key))
        if len(manifest.transcripts) < 2:
            made = manifest.transcripts[0].model_copy(update={"revision": 2})
            manifest = with_transcript(manifest, made, lambda name: storage.uri(f"x/{name}"))
            storage.put_bytes(key, manifest.to_json(), "application/json")
        async with self.resources.database.begin() as session:
            await charge_transcript(
                session,
                await session.get_one(Job, job.id),
                manifest.recorded_seconds,
                revision=manifest.revision,
                prices=self.prices,
                now=self.clock.now(),
            )

    async def tell_stripe(self) -> None:
        """Until Stripe has everything, however often it fails in between."""
        database = self.resources.database
        customers = Customers(database, self.payments, self.clock, self.prices)
        reporter = MeterReporter(
            database, self.payments, customers, self.clock, random=self.chance.random
        )
        for _ in range(30):
            self.stripe.faults = self.chance.choices([200, 429, 500, -500], [8, 1, 1, 1], k=400)
            tally = await reporter.drain()
            if tally.failed == 0 and not await self._waiting():
                return
            self.clock.advance(timedelta(minutes=30).total_seconds())
        raise AssertionError("Stripe was not told everything")

    async def _waiting(self) -> bool:
        statement = select(MeterEvent).where(col(MeterEvent.sent_at).is_(None)).limit(1)
        async with self.resources.database.begin() as session:
            return (await session.exec(statement)).first() is not None

    async def audit(self, team: Team) -> Audit:
        resources = self.resources
        return await check_team(resources.database, resources.storages, team.id, self.prices)


@pytest.fixture
async def till(
    database: Database,
    box: SecretBox,
    clock: ManualClock,
    stripe_server: StripeServer,
    tmp_path: Path,
) -> Any:
    settings = BillingSettings(
        stripe_key=SecretStr(KEY), stripe_api=stripe_server.origin, network_retries=0
    )
    payments = StripePayments(settings, SecretStr(KEY))
    resources = Resources(
        settings=Settings(data_dir=tmp_path),
        clock=clock,
        database=database,
        box=box,
        storage=LocalStorage(tmp_path / "b", files_url="http://f", link_secret=SecretStr("s")),
        courier=cast("Any", None),
    )
    prices = PriceList(free_hours_per_month=FREE_HOURS)
    found = Till(resources, stripe_server, payments, prices, random.Random(20_260_509))  # noqa: S311
    async with database.begin() as session:
        for number, rate in enumerate(RATES):
            team = await create_team(session, box, f"Team {number}", now=clock.now())
            team.rate_usd_per_hour = rate
            found.teams.append(team)
    yield found
    await payments.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [160, pytest.param(1000, marks=pytest.mark.long)])
async def test_random_jobs_cost_the_same_everywhere(till: Till, count: int) -> None:
    """BL-02, BL-12, BL-14, BL-17 to 19, BL-26, D15."""
    for _ in range(BATCHES):
        for job in await till.jobs(count // BATCHES):
            await till.end(job)
            till.clock.advance(till.chance.randrange(1, 7200))
        await till.tell_stripe()
        # On to another month, now and then.
        till.clock.advance(timedelta(days=till.chance.randrange(5, 20)).total_seconds())
    assert len(till.done) == count
    for team in till.teams:
        found = await till.audit(team)
        assert found.differences == []
        async with till.resources.database.begin() as session:
            billed = await credit.billed(session, team.id)
            account = await session.get_one(BillingAccount, team.id)
        customer = str(account.customer_id)
        assert billed > 0
        assert found.recomputed_usd == found.events_usd == billed
        assert found.remaining_usd == Decimal("5.000") - billed
        told = till.stripe.amounts(customer)
        assert sum(told, Decimal(0)) == billed
        # An invoice multiplies the sum of the units: off by less than a rounding for each event.
        assert abs(till.stripe.invoiced(customer) - billed) <= Decimal("0.0005") * len(told)
        assert (found.pending, found.skipped, found.unverified) == (0, 0, [])
    await _check_world(till)


async def _check_world(till: Till) -> None:
    """That chance left nothing out: every kind of job was there."""
    async with till.resources.database.begin() as session:
        events = (await session.exec(select(UsageEvent))).all()
    months = {credit.month_of(event.recorded_at) for event in events}
    assert len(months) > 2
    assert {event.revision for event in events} == {0, 1, 2}
    assert {event.kind for event in events} == set(UsageKind)
    assert (
        {event.billed for event in events} == {event.livemode for event in events} == {True, False}
    )
    assert any(event.free_hours > 0 and event.hours_billed > 0 for event in events)


async def test_what_differs_is_named(till: Till) -> None:
    """`bill check` finds a wrong manifest, a lost event and what Stripe was not told."""
    (first, second, third) = await till.jobs(3)
    team = till.teams[0]
    for job in (first, second, third):
        job.team_id, job.livemode, job.transcription = team.id, True, {"mode": "off"}
    async with till.resources.database.begin() as session:
        for job in (first, second, third):
            session.add(job)
    for job, seconds in ((first, 600), (second, 700), (third, 800)):
        outcome = Outcome()
        outcome.conclude(_recording(till, job, seconds))
        # The manifest of the first one says more than was billed.
        shown = Outcome()
        shown.conclude(_recording(till, job, seconds + (100 if job is first else 0)))
        outcome.manifest_uri = await delivery.hand_over(
            job, shown, None, None, till.resources.storage
        )
        await till.meter(job, outcome)
    till.resources.storage.delete([f"recordings/{second.id}/manifest.json"])
    found = await till.audit(team)
    assert found.differences == [
        f"{first.id}: recording 700 s = 0.027 h = $0.008 by the manifest, "
        "600 s = 0.000 h = $0.000 billed."
    ]
    assert found.unverified == [second.id]
    assert found.jobs == 3


def _recording(till: Till, job: Job, seconds: int) -> Recording:
    now = till.clock.now()
    return Recording(job.id, now, now, seconds, ExitReason.CALL_ENDED, (), ())
