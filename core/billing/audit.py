"""Recomputing a bill from the manifests in storage alone, and comparing (design.md D15).

What the manifests say is priced again and held against the usage events, the jobs, the ledger's
sum and the meter events. Nothing is changed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from pydantic import ValidationError
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.billing import credit
from core.billing.metering import NOTHING, Recorded, charge, thousandths
from core.billing.models import UsageEvent, UsageKind
from core.billing.reporting import units
from core.billing.stripe_models import MeterEvent
from core.billing.usage import is_metered, meter_identifier
from core.database import Database
from core.errors import ObjectMissing
from core.jobs.lifecycle import TERMINAL
from core.jobs.models import Job
from core.prices import PriceList, Prices
from core.recordings.manifest import MANIFEST_NAME, Manifest
from core.storage.opening import Storages

PAGE: Final = 200
READS_AT_ONCE: Final = 8


@dataclass
class Audit:
    """What came of a check. `unverified` jobs have no manifest in storage any more."""

    team_id: str
    jobs: int = 0
    unverified: list[str] = field(default_factory=list)
    recomputed_usd: Decimal = NOTHING
    events_usd: Decimal = NOTHING
    # Usage of other regions, whose jobs and manifests are there (RG-07).
    elsewhere_usd: Decimal = NOTHING
    granted_usd: Decimal = NOTHING
    remaining_usd: Decimal = NOTHING
    units_sent: dict[str, int] = field(default_factory=dict)
    # What Stripe itself has counted, where it was asked (`stripe_check`).
    units_counted: dict[str, int] = field(default_factory=dict)
    # Usage that Stripe was not told of yet, and usage that it need not be told of.
    pending: int = 0
    skipped: int = 0
    rates: set[Decimal] = field(default_factory=set)
    differences: list[str] = field(default_factory=list)

    def differ(self, what: str) -> None:
        self.differences.append(what)


@dataclass(frozen=True)
class _Books:
    """A job with everything that was written down about its money."""

    job: Job
    events: Sequence[UsageEvent]
    meters: Mapping[str, MeterEvent]
    manifest: Manifest | None


async def check_team(
    database: Database,
    storages: Storages,
    team_id: str,
    prices: PriceList,
    *,
    unit: Literal["thousandths", "seconds"] = "thousandths",
) -> Audit:
    """Price every recording of the team again.

    Raises:
        StorageError: the bucket does not answer; nothing can be said.
    """
    audit = Audit(team_id)
    months: dict[datetime, list[UsageEvent]] = defaultdict(list)
    async for books in _books(database, storages, team_id):
        audit.jobs += 1
        _check_job(audit, books)
        for event in books.events:
            audit.events_usd += event.amount_usd + event.transcription_amount_usd
            if event.billed:
                audit.rates.add(event.rate_usd_per_hour)
            months[credit.month_of(event.recorded_at)].append(event)
            _check_meter(audit, event, books.meters.get(event.id), unit)
    _check_free_hours(audit, months, prices.free_hours_per_month)
    async with database.begin() as session:
        billed = await credit.billed(session, team_id)
        audit.granted_usd = await credit.granted(session, team_id)
        audit.remaining_usd = audit.granted_usd - billed
        audit.elsewhere_usd = await _elsewhere(session, team_id)
    if billed != audit.events_usd + audit.elsewhere_usd:
        audit.differ(
            f"The ledger has ${billed - audit.elsewhere_usd} of usage, its jobs have "
            f"${audit.events_usd}."
        )
    return audit


async def _elsewhere(session: AsyncSession, team_id: str) -> Decimal:
    amounts = col(UsageEvent.amount_usd) + col(UsageEvent.transcription_amount_usd)
    total = select(func.coalesce(func.sum(amounts), 0)).where(
        UsageEvent.team_id == team_id, col(UsageEvent.job_id).not_in(select(Job.id))
    )
    return thousandths(Decimal((await session.exec(total)).one()))


def _check_job(audit: Audit, books: _Books) -> None:
    job, manifest = books.job, books.manifest
    recordings = [event for event in books.events if event.kind is UsageKind.RECORDING]
    transcripts = [event for event in books.events if event.kind is UsageKind.TRANSCRIPTION]
    if len(recordings) != (1 if job.fence else 0):
        audit.differ(f"{job.id}: {len(recordings)} usage events of its recording.")
    for event in recordings:
        if (job.billed, job.amount_usd) != (event.billed, event.amount_usd):
            audit.differ(
                f"{job.id}: the job says ${job.amount_usd}, its event ${event.amount_usd}."
            )
    if manifest is None:
        _check_unseen(audit, books)
        return
    for event in recordings:
        _check_recording(audit, job, manifest, event)
    for event in transcripts:
        _check_transcript(audit, job, manifest, event)
    _check_revisions(audit, job, manifest, {event.revision for event in transcripts})


def _check_revisions(audit: Audit, job: Job, manifest: Manifest, charged: set[int]) -> None:
    """Each transcript of ours is charged under its revision, and no other one is."""
    if manifest.transcripts:
        ours = {made.revision for made in manifest.transcripts if made.mode == "addon"}
        if ours != charged:
            audit.differ(f"{job.id}: our transcripts are {sorted(ours)}, billed {sorted(charged)}.")
        return
    ready = manifest.transcript == "ready"
    if charged and not ready:
        audit.differ(f"{job.id}: a transcript was billed, and there is none.")
    if ready and job.transcription.get("mode") == "addon" and not charged:
        audit.differ(f"{job.id}: our transcript has no usage event.")


def _check_unseen(audit: Audit, books: _Books) -> None:
    """A recording that was deleted, or none that ever was."""
    job = books.job
    if job.manifest_uri is not None:
        audit.unverified.append(job.id)
        for event in books.events:
            audit.recomputed_usd += event.amount_usd + event.transcription_amount_usd
    elif any(event.billed for event in books.events):
        audit.differ(f"{job.id}: billed, and no manifest was ever written.")


def _check_recording(audit: Audit, job: Job, manifest: Manifest, event: UsageEvent) -> None:
    prices = Prices(recording=event.rate_usd_per_hour)
    due = charge(_recorded(job, manifest), prices)
    billed = due.hours_billed - event.free_hours if due.billed else NOTHING
    amount = thousandths(billed * event.rate_usd_per_hour)
    audit.recomputed_usd += amount
    wanted = (due.seconds, due.billed, billed, amount)
    found = (event.seconds, event.billed, event.hours_billed, event.amount_usd)
    if wanted != found:
        audit.differ(
            f"{job.id}: recording {_words(wanted)} by the manifest, {_words(found)} billed."
        )


def _check_transcript(audit: Audit, job: Job, manifest: Manifest, event: UsageEvent) -> None:
    due = charge(
        _recorded(job, manifest, transcribed=True), Prices(transcription=event.rate_usd_per_hour)
    )
    audit.recomputed_usd += due.transcription_amount_usd
    wanted = (due.seconds, due.billed, due.transcription_hours_billed, due.transcription_amount_usd)
    found = (
        event.seconds,
        event.billed,
        event.transcription_hours_billed,
        event.transcription_amount_usd,
    )
    if wanted != found:
        audit.differ(
            f"{job.id}: transcript {event.revision} {_words(wanted)} by the manifest, "
            f"{_words(found)} billed."
        )


def _recorded(job: Job, manifest: Manifest, *, transcribed: bool = False) -> Recorded:
    return Recorded(
        seconds=Decimal(manifest.recorded_seconds),
        livemode=job.livemode,
        # What failed after the manifest was written was our fault, and is not billed.
        failure_code=manifest.failure_code or job.failure_code,
        transcribed=transcribed,
    )


def _check_meter(
    audit: Audit,
    event: UsageEvent,
    row: MeterEvent | None,
    unit: Literal["thousandths", "seconds"],
) -> None:
    identifier = meter_identifier(event)
    if row is None:
        if is_metered(event):
            audit.differ(f"{identifier}: billed, and not on its way to Stripe.")
        return
    if not is_metered(event) or row.identifier != identifier:
        audit.differ(f"{row.identifier}: on its way to Stripe for usage that is {identifier}.")
    if row.uncertain:
        audit.differ(
            f"{identifier}: Stripe may or may not have it ({row.last_error}). Look there; then "
            f"`meetbot-server bill resend {identifier}`, with --counted when Stripe has it."
        )
    elif row.skipped:
        audit.skipped += 1
    elif row.sent_at is None:
        audit.pending += 1
    else:
        sent = row.value or 0
        audit.units_sent[row.event_name] = audit.units_sent.get(row.event_name, 0) + sent
        if sent != units(event, unit):
            audit.differ(
                f"{identifier}: Stripe was told {sent}, it should be {units(event, unit)}."
            )


def _check_free_hours(
    audit: Audit, months: Mapping[datetime, Sequence[UsageEvent]], limit: Decimal
) -> None:
    """In each month as many hours are free as the setting says, and no more (BL-14)."""
    for month, events in sorted(months.items()):
        free = sum((event.free_hours for event in events), NOTHING)
        due = min(limit, sum((event.free_hours + event.hours_billed for event in events), NOTHING))
        if free != due:
            audit.differ(f"{month:%Y-%m}: {free} hours were free, {due} should be.")


def _words(charged: tuple[int, bool, Decimal, Decimal]) -> str:
    seconds, billed, hours, usd = charged
    return f"{seconds} s = {hours} h = ${usd}" if billed else f"{seconds} s unbilled"


async def _books(database: Database, storages: Storages, team_id: str) -> AsyncIterator[_Books]:
    after = ""
    while True:
        async with database.begin() as session:
            jobs = await _jobs(session, team_id, after)
            events = await _events(session, [job.id for job in jobs])
            meters = await _meters(session, [event.id for event in events])
        if not jobs:
            return
        after = jobs[-1].id
        by_job: dict[str, list[UsageEvent]] = defaultdict(list)
        for event in events:
            by_job[event.job_id].append(event)
        gate = asyncio.Semaphore(READS_AT_ONCE)
        manifests = await asyncio.gather(*(_manifest(storages, job, gate) for job in jobs))
        for job, manifest in zip(jobs, manifests, strict=True):
            yield _Books(job, by_job[job.id], meters, manifest)


async def _jobs(session: AsyncSession, team_id: str, after: str) -> Sequence[Job]:
    statement = (
        select(Job)
        .where(Job.team_id == team_id, col(Job.id) > after, col(Job.status).in_(TERMINAL))
        .order_by(col(Job.id))
        .limit(PAGE)
    )
    return (await session.exec(statement)).all()


async def _events(session: AsyncSession, jobs: Sequence[str]) -> Sequence[UsageEvent]:
    statement = select(UsageEvent).where(col(UsageEvent.job_id).in_(jobs))
    return (await session.exec(statement.order_by(col(UsageEvent.id)))).all()


async def _meters(session: AsyncSession, events: Sequence[str]) -> dict[str, MeterEvent]:
    """By the id of the usage event."""
    statement = select(MeterEvent).where(col(MeterEvent.usage_event_id).in_(events))
    return {row.usage_event_id: row for row in (await session.exec(statement)).all()}


async def _manifest(storages: Storages, job: Job, gate: asyncio.Semaphore) -> Manifest | None:
    """What storage has; one that cannot be read is as good as none."""
    if job.manifest_uri is None:
        return None
    async with gate:
        try:
            key = f"recordings/{job.id}/{MANIFEST_NAME}"
            storage = await storages.open(job.storage_id)
            return Manifest.model_validate_json(await asyncio.to_thread(storage.get_bytes, key))
        except (ObjectMissing, ValidationError):
            return None
