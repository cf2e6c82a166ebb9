"""Rounds on an injected clock: storage is away for an hour and more, in the call or after it (D9).

Everything between the journal and the customer is real (bundles, the run's last stages, postponed
uploads, webhooks, PostgreSQL, an S3 server behind a gate); only time and the microphone are not.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from bot.recording.bundles import BundleUploader
from core.dispatch import workers
from core.dispatch.queues import machine_queue
from core.errors import StorageError
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event, Status
from core.jobs.postponed import LONGEST_WAIT
from flows.resume_uploads import INTERVAL_SECONDS
from flows.resume_uploads import plan as hand_out
from flows.run import MeetingRun
from flows.uploads import take_on
from tests.faults.outage_site import HERE, Machine, Site, Tape, machine_at
from tests.support.clock import ManualClock

BUNDLE_SECONDS: Final = 3
STEP_SECONDS: Final = 10
# Bundles are tried again after a minute at the most, in steps of the clock.
CAUGHT_UP_SECONDS: Final = 60 + 2 * STEP_SECONDS
SHORTEST: Final = 3_600
LONGEST: Final = 5_400
AROUND: Final = 120


class When(StrEnum):
    """When storage is away."""

    DURING = "in the call"
    ACROSS = "from the call until after it"
    AFTER = "from the end of the call"


@dataclass(frozen=True)
class Outage:
    """All in seconds of the clock; `began` since the recording's begin."""

    seed: int
    number: int
    when: When
    began: int
    lasts: int
    call: int

    def __str__(self) -> str:
        return f"outage {self.number}: storage away for {self.lasts / 60:.0f} min {self.when}"


@dataclass
class Outcome:
    """`resumed_after`: from storage's return until everything was stored, on the clock."""

    outage: Outage
    resumed_after: float | None = None
    violations: list[str] = field(default_factory=list)


def plan(seed: int, number: int) -> Outage:
    """Each kind of outage once in as many rounds as there are kinds."""
    dice = random.Random(f"{seed}/outage/{number}")  # noqa: S311 - not a secret
    when = list(When)[(seed + number) % len(When)]
    lasts = dice.randrange(SHORTEST, LONGEST, STEP_SECONDS)
    before = dice.randrange(AROUND, 2 * AROUND, STEP_SECONDS)
    match when:
        case When.DURING:
            return Outage(seed, number, when, before, lasts, before + lasts + 2 * AROUND)
        case When.ACROSS:
            inside = dice.randrange(AROUND, lasts - AROUND, STEP_SECONDS)
            return Outage(seed, number, when, before, lasts, before + inside)
        case When.AFTER:
            return Outage(seed, number, when, before, lasts, before)


async def play(place: Site, outage: Outage, folder: Path) -> Outcome:
    """Play it to its end; what does not hold is in `violations`."""
    result = Outcome(outage)
    try:
        async with asyncio.timeout(300), machine_at(place, folder) as machine:
            await _call(machine, result)
            await _afterwards(machine, result)
            await _check(machine, result)
    except Exception as error:  # noqa: BLE001 - one broken round must not end the others
        result.violations.append(f"{type(error).__name__}: {error}"[:600])
    return result


async def _call(machine: Machine, result: Outcome) -> None:
    """The bot records on, whatever its storage does; what is new goes there when it is back."""
    outage, clock = result.outage, machine.clock
    storage = machine.resources.storage
    uploader = BundleUploader(machine.work_dir, 1, storage, BUNDLE_SECONDS, clock)
    caught_up: float | None = None
    tape = Tape(machine)
    async with uploader:
        size = 0
        for at in range(0, outage.call, STEP_SECONDS):
            _turn(machine, outage, at)
            tape.record(STEP_SECONDS)
            clock.advance(STEP_SECONDS)
            await _asleep_again(clock)
            written = await asyncio.to_thread(machine.bytes_here)
            assert written > size, "what was recorded shrank on the disk"
            size = written
            if machine.opened_at is not None and caught_up is None and not uploader.failures:
                caught_up = clock.monotonic() - machine.opened_at
        tape.close()
        _turn(machine, outage, outage.call)
    if outage.when is When.DURING:
        assert caught_up is not None, "bundles did not go on"
        assert caught_up <= CAUGHT_UP_SECONDS, f"bundles went on after {caught_up:.0f} s"
        assert uploader.failures == 0
        result.resumed_after = caught_up


async def _afterwards(machine: Machine, result: Outcome) -> None:
    """What the flow does at the end of a call, and then the machine, every half minute."""
    outage, clock, job = result.outage, machine.clock, machine.job
    await machine.book.report(job, Event.LEFT, job.fence)
    clock.advance(60)
    _turn(machine, outage, outage.call)
    # Time stands still within a run.
    still = replace(machine.resources, clock=ManualClock(clock.now()))
    async with MeetingRun(still, job.id, "run-2") as run:
        await run.dispatch()
        try:
            await run.finalize()
            await run.upload()
            await run.transcribe()
        except StorageError as error:
            await run.postpone(error)
        else:
            await run.meter()
            await run.notify()
    while not (await machine.book.read(job)).status.terminal:
        assert machine.opened_at is not None or machine.work_dir.is_dir()
        assert machine.opened_at is not None or (machine.endings(), await machine.usage()) == (
            [],
            0,
        )
        assert machine.away_seconds < outage.lasts + 3_600, "the upload did not go on by itself"
        clock.advance(INTERVAL_SECONDS)
        _turn(machine, outage, outage.call)
        await _housekeeping(machine)
    if result.resumed_after is None and machine.opened_at is not None:
        result.resumed_after = clock.monotonic() - machine.opened_at


def _turn(machine: Machine, outage: Outage, at: float) -> None:
    """Shut the gate, or open it, when it is time."""
    if machine.closed_at is None:
        if at >= outage.began:
            machine.shut()
    elif machine.opened_at is None and machine.away_seconds >= outage.lasts:
        machine.open()


async def _asleep_again(clock: ManualClock) -> None:
    """Until the uploader has done what it was woken for, in threads of its own."""
    async with asyncio.timeout(60):
        while not clock.sleeping:
            await asyncio.sleep(0.001)


async def _housekeeping(machine: Machine) -> None:
    """The worker says that it is there; `resume-uploads` sends it what is due."""
    async with machine.book.database.begin() as session:
        await workers.report(session, HERE, 96, now=machine.clock.now())
    queues = await hand_out(machine.resources)
    assert queues in ({}, {HERE: machine_queue(HERE)}), f"handed to {queues}"
    if queues:
        await take_on(machine.resources, HERE)


async def _check(machine: Machine, result: Outcome) -> None:
    """Delivered once, whole, and nothing left."""
    job = await machine.book.read(machine.job)
    assert (job.status, job.exit_reason) == (Status.COMPLETED, ExitReason.CALL_ENDED)
    assert result.resumed_after is not None
    limit = LONGEST_WAIT.total_seconds() + INTERVAL_SECONDS
    assert result.resumed_after <= limit, f"delivered {result.resumed_after:.0f} s after its return"
    await machine.resources.courier.drain()
    assert machine.endings() == ["job.finalized"], f"told {machine.endings()}"
    assert await machine.usage() == 1
    prefix = f"recordings/{job.id}/"
    keys = await asyncio.to_thread(lambda: [one.key for one in machine.bucket.list(prefix)])
    assert not [key for key in keys if "/." in key], f"left in storage: {keys}"
    data = await asyncio.to_thread(machine.bucket.get_bytes, f"{prefix}manifest.json")
    manifest = json.loads(data)
    assert manifest["durationSeconds"] == result.outage.call == job.duration_seconds
    assert manifest["gaps"] == []
    assert [track["endOffsetMs"] for track in manifest["tracks"]] == [result.outage.call * 1000] * 2
    assert not machine.work_dir.exists()
