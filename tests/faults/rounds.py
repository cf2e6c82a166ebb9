"""One meeting with one fault: what happened, and which invariants did not hold."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
from sqlmodel import col, func, select

from core.jobs.lifecycle import TERMINAL
from core.jobs.live_models import IngestedMessage
from core.webhooks.models import Delivery, DeliveryStatus
from sandbox.schemas import HostAction, RoomCreated, RoomOptions, RoomView
from tests.e2e.customer import Customer
from tests.e2e.ending import Ended, ended
from tests.e2e.listening import hear
from tests.e2e.operator import Operator
from tests.faults.inject import borne_seconds, injected, struck, unstored_seconds
from tests.faults.leftovers import Footprint
from tests.faults.plan import DEADLY, End, Fault, Round
from tests.support.stack import OVER_HTTP, RunningStack

TALK: Final = RoomOptions(video=False)
BACK_SECONDS: Final = {Fault.MACHINE: 60.0}
# Where joining takes less than this, a machine has the time for what is promised.
JOINS_IN_SECONDS: Final = 4.0
LOSS_MS: Final = {Fault.MACHINE: 5_000}
LOOK_SECONDS: Final = 0.25
# From the dispatch to the fault, at most.
BEFORE_SECONDS: Final = 60
SHIFT_MS: Final = 40
# The room notices within this that its only listener is gone.
BROKEN_OFF_MS: Final = 500
END_SECONDS: Final = 150
Json = dict[str, Any]

# What a job may become after a fault that takes the bot out of the call (D10).
ENDINGS: Final = {
    End.LEAVE: {("completed", "leave_requested")},
    End.HOST: {("completed", "call_ended")},
    End.MEANWHILE: {("completed", "call_ended")},
    End.CANCEL: {("cancelled", "cancelled")},
}


@dataclass
class Result:
    """`back_seconds` and `lost_ms` are None where the fault did not take the bot out."""

    round: Round
    job_id: str = ""
    status: str = ""
    back_seconds: float | None = None
    lost_ms: float | None = None
    gaps: list[Json] = field(default_factory=list)
    most_bots: int = 0
    violations: list[str] = field(default_factory=list)


async def play(
    product: RunningStack, round_: Round, folder: Path, *, stretched: bool = False
) -> Result:
    """Run the round to its end; whatever does not hold is in `violations`, nothing is raised.

    Args:
        stretched: allow more time to be back when joining takes longer on this machine now.
    """
    result = Result(round_)
    made = await product.sandbox.create_room(TALK)
    try:
        async with asyncio.timeout(END_SECONDS + 180):
            labels = OVER_HTTP if round_.over_http else {}
            customer = Customer(product)
            dispatched = time.monotonic()
            result.job_id = await customer.dispatch(made.guest_url, metadata=labels)
            await customer.until_status(result.job_id, "in_meeting", "recording")
            slowness = max(1.0, (time.monotonic() - dispatched) / JOINS_IN_SECONDS)
            limit = BACK_SECONDS.get(round_.fault, 20.0) * (slowness if stretched else 1)
            footprint = Footprint(product, result.job_id)
            async with footprint.noted():
                async with _counting_bots(product, made.room_id, result):
                    fault_ms = await _meeting(product, made, result, limit)
                await _check(product, result, made, fault_ms, folder)
            result.violations += [f"left behind: {what}" for what in await footprint.left()]
    except Exception as error:  # noqa: BLE001 - one broken round must not end the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(where.filename).name}:{where.lineno}"
        result.violations.append(f"{type(error).__name__} at {at}: {error}"[:600])
    finally:
        with suppress(httpx.HTTPError):
            await product.sandbox.delete(made.room_id)
    return result


async def _meeting(product: RunningStack, made: RoomCreated, result: Result, limit: float) -> float:
    """Record, strike, be back within `limit` seconds, go on, end; the fault's moment, epoch ms."""
    customer, job_id, round_ = Customer(product), result.job_id, result.round
    await customer.until_recorded(job_id, round_.before)
    async with injected(product, round_.fault, job_id):
        fault_ms = time.time() * 1000
        if round_.end is End.MEANWHILE:
            await product.sandbox.host(made.room_id, HostAction.END)
    if round_.end is End.MEANWHILE:
        return fault_ms
    if round_.fault in DEADLY:
        await _until_back(product, made.room_id, fault_ms, result, limit)
    await asyncio.sleep(round_.after)
    match round_.end:
        case End.HOST:
            await product.sandbox.host(made.room_id, HostAction.END)
        case End.LEAVE:
            await _persist(lambda: customer.leave(job_id))
        case _:
            await _persist(lambda: customer.cancel(job_id))
    return fault_ms


async def _until_back(
    product: RunningStack, room_id: str, fault_ms: float, result: Result, limit: float
) -> None:
    """The bot is seen to go, and to come back, by the room itself.

    What the round beside it does to the whole product meanwhile is no time of this one's fault.
    """
    gone, since = False, fault_ms / 1000
    while (spent := time.time() - since) < limit + 25 + (
        borne := borne_seconds(result.job_id, since, since + spent)
    ):
        here = bool(_bots(await product.sandbox.room(room_id)))
        gone = gone or not here
        if gone and here:
            result.back_seconds = time.time() - since
            if result.back_seconds > limit + borne:
                result.violations.append(f"back only after {result.back_seconds:.1f} s")
            return
        await asyncio.sleep(LOOK_SECONDS)
    result.violations.append("the bot never came back" if gone else "the bot never went")


async def _check(
    product: RunningStack, result: Result, made: RoomCreated, fault_ms: float, folder: Path
) -> None:
    room = await product.sandbox.room(made.room_id)
    job = await _over(product, result)
    told = (job["status"], job["exitReason"])
    result.status = job["status"]
    if told not in ENDINGS[result.round.end]:
        result.violations.append(f"ended as {told}: {job['failure_detail']}")
    expected = Ended(
        *(told[0], told[1], job["failure_code"]),
        manifest=True,
        may_be_postponed=struck(Fault.STORAGE, fault_ms / 1000),
        may_come_late=struck(Fault.RECEIVER, fault_ms / 1000 - BEFORE_SECONDS),
    )
    with _noting(result):
        await ended(product, result.job_id, expected)
    with _noting(result):
        await _check_files(product, result, room, fault_ms, folder)
    with _noting(result):
        await _check_way(product, result)
    with _noting(result):
        await _check_told(product, result)
    if result.most_bots > 1:
        result.violations.append(f"{result.most_bots} bots were in the room at once")


async def _check_way(product: RunningStack, result: Result) -> None:
    """The bot told the API, or the database, as planned."""
    mine = select(func.count()).where(col(IngestedMessage.job_id) == result.job_id)
    async with product.database.begin() as session:
        told = (await session.exec(mine)).one()
    assert bool(told) is result.round.over_http, f"{told} messages came over HTTP"


async def _check_told(product: RunningStack, result: Result) -> None:
    """Every webhook of the job arrived, whoever was away meanwhile (WH-21)."""
    mine = select(Delivery).where(col(Delivery.job_id) == result.job_id)
    deadline = time.monotonic() + END_SECONDS
    while True:
        async with product.database.begin() as session:
            sent = (await session.exec(mine)).all()
        open_ones = [one.event for one in sent if one.status is not DeliveryStatus.DELIVERED]
        if not open_ones:
            break
        assert time.monotonic() < deadline, f"never delivered: {open_ones}"
        await asyncio.sleep(LOOK_SECONDS)
    arrived = {one.body["deliveryId"] for one in Customer(product).webhooks(result.job_id)}
    assert arrived == {one.id for one in sent}, "webhooks are marked as delivered that never came"


async def _check_files(
    product: RunningStack, result: Result, room: RoomView, fault_ms: float, folder: Path
) -> None:
    heard = await hear(Operator(product), result.job_id, room, folder)
    manifest = heard.manifest
    result.gaps = manifest["gaps"]
    lengths = [len(sound) / 16 for sound in heard.sounds.values()]
    assert len(lengths) == 3, f"{len(lengths)} speakers were recorded"
    assert max(lengths) - min(lengths) <= 100, f"files of different lengths: {lengths}"
    free = sum(gap["endMs"] - gap["startMs"] for gap in manifest["gaps"])
    owed = (heard.end_ms - free) / 1000
    assert abs(manifest["durationSeconds"] - owed) <= 1, (
        f"{manifest['durationSeconds']} s are billed of {owed:.1f} s"
    )
    shifts = [heard.shift_ms(line) for line in heard.lines() if not _cut(line, result.gaps)]
    assert all(abs(shift) <= SHIFT_MS for shift in shifts), f"sentences lie {shifts} ms off"
    if result.round.fault in DEADLY:
        _check_loss(result, fault_ms, manifest)


def _check_loss(result: Result, fault_ms: float, manifest: Json) -> None:
    """What is missing from before the fault: the gap begins there, or the recording ends there."""
    start_ms = datetime.fromisoformat(manifest["startedAt"]).timestamp() * 1000
    ends = [gap["startMs"] for gap in manifest["gaps"]]
    last = min(ends) if ends else max(track["endOffsetMs"] for track in manifest["tracks"])
    result.lost_ms = max(0.0, fault_ms - start_ms - last)
    limit: float = LOSS_MS.get(result.round.fault, 2_000)
    if result.round.fault is Fault.MACHINE:
        # Nobody can have what nobody could send (D8).
        limit += unstored_seconds(fault_ms / 1000) * 1000
    assert result.lost_ms <= limit, f"{result.lost_ms:.0f} ms are lost"


def _cut(line: Any, gaps: list[Json]) -> bool:
    """Whether some of a sentence lies in a gap; where nobody is left to hear it, it ends there."""
    return any(
        line.start_ms < gap["endMs"] and line.end_ms > gap["startMs"] - BROKEN_OFF_MS
        for gap in gaps
    )


async def _over(product: RunningStack, result: Result) -> Json:
    customer, deadline = Customer(product), time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            job = await customer.job(result.job_id)
            if job["status"] in TERMINAL:
                return job
        await asyncio.sleep(LOOK_SECONDS)
    raise AssertionError("the job did not end in time")


async def _persist(ask: Any, seconds: float = 30) -> None:
    """As a client with retries: the API may be on its way back."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await ask()
        except (httpx.HTTPError, AssertionError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(LOOK_SECONDS)
        else:
            return


def _bots(room: RoomView) -> list[str]:
    return [p.participant_id for p in room.participants if p.kind == "browser"]


@asynccontextmanager
async def _counting_bots(
    product: RunningStack, room_id: str, result: Result
) -> AsyncIterator[None]:
    """How many bots were in the room at once, at most, while the block ran."""

    async def count() -> None:
        while True:
            with suppress(httpx.HTTPError):
                bots = len(_bots(await product.sandbox.room(room_id)))
                result.most_bots = max(result.most_bots, bots)
            await asyncio.sleep(LOOK_SECONDS)

    task = asyncio.create_task(count(), name="count bots")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _noting:  # noqa: N801 - used like a function
    """A failed check is noted, and the next one is made all the same."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if not isinstance(error, AssertionError):
            return False
        # Without a message of its own, the line says what did not hold.
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error).partition("\n")[0] or f"{where.line} ({where.name}:{where.lineno})"
        self._result.violations.append(said[:400])
        return True
