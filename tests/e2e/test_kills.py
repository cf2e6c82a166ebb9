"""Processes that die in a meeting: the bot is back, once, and the recording is one (D8, D10)."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from sandbox.schemas import HostAction, RoomCreated, RoomOptions, RoomView
from tests.e2e import processes
from tests.e2e.customer import Customer
from tests.e2e.ending import Ended, ended
from tests.e2e.listening import Heard, hear, last_spoken_ms
from tests.e2e.operator import Operator, Run
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.media, pytest.mark.timeout(300)]

SECONDS: Final = 6
AFTERWARDS: Final = 9
MOST_LOST_MS: Final = 2_000
# What storage does not have yet when a machine is lost.
MOST_UNSENT_MS: Final = 5_000
# What is promised on a machine that has time for it, where joining takes less than four seconds.
BACK_SECONDS: Final = 20
JOINS_IN_SECONDS: Final = 4
LEASE_SECONDS: Final = 10
GONE_SECONDS: Final = 20
MOST_SHIFT_MS: Final = 600


def bots(room: RoomView) -> set[str]:
    """Who of us is in the room."""
    return {one.participant_id for one in room.participants if one.kind == "browser"}


@dataclass
class Live:
    """A job in its meeting, and how many bots the room has seen at once."""

    product: RunningStack
    job_id: str
    room: RoomCreated
    first: str
    # The time to be back in the call, stretched by how long joining took on this machine now.
    patience: float
    most: int = 1
    seen: set[str] = field(default_factory=set)

    async def look(self) -> set[str]:
        return bots(await self.product.sandbox.room(self.room.room_id))

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        """Count the bots in the room while the block runs."""

        async def count() -> None:
            while True:
                there = await self.look()
                self.most = max(self.most, len(there))
                self.seen |= there
                await asyncio.sleep(0.1)

        counting = asyncio.create_task(count())
        try:
            yield
        finally:
            counting.cancel()
            with suppress(asyncio.CancelledError):
                await counting

    async def until_back(self, since: float, extra_seconds: float = 0) -> None:
        """Until another page of ours is in the room."""
        seconds = self.patience + extra_seconds
        while not await self.look() - {self.first}:
            assert time.time() - since < seconds, f"the bot is not back after {seconds:.0f} s"
            await asyncio.sleep(0.1)


async def live(product: RunningStack) -> Live:
    """A job that has recorded for a while, at a moment when somebody has just begun to speak."""
    customer = Customer(product)
    made = await product.sandbox.create_room(RoomOptions(video=False))
    dispatched = time.time()
    job_id = await customer.dispatch(made.guest_url)
    await customer.until_status(job_id, "in_meeting", "recording")
    slowness = max(1.0, (time.time() - dispatched) / JOINS_IN_SECONDS)
    await customer.until_recorded(job_id, SECONDS)
    async with asyncio.timeout(30):
        while not _speaking_for_a_second(await product.sandbox.room(made.room_id)):
            await asyncio.sleep(0.1)
    (first,) = bots(await product.sandbox.room(made.room_id))
    return Live(product, job_id, made, first, BACK_SECONDS * slowness, seen={first})


def _speaking_for_a_second(room: RoomView) -> bool:
    now = time.time() * 1000
    return any(
        said.ended_at_ms is None and 1000 < now - said.started_at_ms < 1800
        for said in room.timeline
    )


async def recorded_again(meeting: Live) -> None:
    """Long enough for whole sentences after the return, by the bot's own account."""
    customer = Customer(meeting.product)
    job = await customer.job(meeting.job_id)
    already = (job["progress"] or {}).get("recordedSeconds", 0)
    await customer.until_recorded(meeting.job_id, already + AFTERWARDS)


async def one_recording(
    meeting: Live, folder: Path, at_ms: float
) -> tuple[dict[str, Any], Run, Heard]:
    """Leave, and check that what is delivered is one recording with one gap at that moment."""
    product = meeting.product
    await Customer(product).leave(meeting.job_id)
    room = await product.sandbox.room(meeting.room.room_id)
    job, run = await ended(product, meeting.job_id, Ended("completed", "leave_requested"))
    heard = await hear(Operator(product), meeting.job_id, room, folder)
    assert len(heard.sounds) == 3
    assert len({len(sound) for sound in heard.sounds.values()}) == 1
    assert [one["displayName"] for one in heard.manifest["participants"]] == sorted(heard.sounds)
    (gap,) = heard.manifest["gaps"]
    start_ms, end_ms = heard.start_ms + gap["startMs"], heard.start_ms + gap["endMs"]
    assert -MOST_LOST_MS <= start_ms - at_ms <= 1000, "the gap begins elsewhere"
    assert end_ms - at_ms <= 1000 * meeting.patience + 3000
    recorded = heard.end_ms - (gap["endMs"] - gap["startMs"])
    assert heard.manifest["recordedSeconds"] == job["durationSeconds"]
    assert abs(heard.manifest["recordedSeconds"] * 1000 - recorded) <= 1000
    lost = last_spoken_ms(room, at_ms) - heard.last_sound_ms(before_ms=end_ms)
    assert lost <= MOST_LOST_MS, f"{lost:.0f} ms of speech are lost"
    before = [line for line in heard.lines() if line.end_ms < gap["startMs"] - 500]
    after = [line for line in heard.lines() if line.start_ms > gap["endMs"] + 500]
    assert before
    assert after
    for line in (before[-1], after[0], after[-1]):
        assert abs(heard.shift_ms(line)) < MOST_SHIFT_MS, "the timeline is torn"
    return job, run, heard


async def test_a_killed_browser_is_replaced_in_the_same_process(
    product: RunningStack, tmp_path: Path
) -> None:
    meeting = await live(product)
    browser = processes.only_browser(product)
    family = [browser, *browser.children(recursive=True)]
    async with meeting.counted():
        at = time.time()
        browser.kill()
        await meeting.until_back(at)
        await recorded_again(meeting)
    assert meeting.most == 1
    job, run, _ = await one_recording(meeting, tmp_path, at * 1000)
    assert (job["attempt"], run.run["run_count"]) == (1, 1)
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=GONE_SECONDS)
    assert not alive, "parts of the dead browser live on"


async def test_a_killed_meeting_process_is_back_in_the_call(
    product: RunningStack, tmp_path: Path
) -> None:
    """The worker marks the run Crashed, the watcher schedules it again: one job, one run."""
    meeting = await live(product)
    browser = processes.only_browser(product)
    family = [browser, *browser.children(recursive=True)]
    process = processes.meeting_of(browser)
    async with meeting.counted():
        at = time.time()
        process.kill()
        await meeting.until_back(at)
        await recorded_again(meeting)
    assert meeting.most == 1
    job, run, _ = await one_recording(meeting, tmp_path, at * 1000)
    assert (job["attempt"], run.run["run_count"]) == (2, 2)
    crashed = [state for state in run.states if state["name"] == "Crashed"]
    assert len(crashed) == 1
    assert "SIGKILL" in crashed[0]["message"]
    # Nothing of the dead process is shown as running for ever.
    captures = [one["state_type"] for one in run.tasks if one["name"].startswith("capture")]
    assert sorted(captures) == ["COMPLETED", "CRASHED"]
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=GONE_SECONDS)
    assert not alive, "parts of the dead bot's browser live on"


async def test_a_meeting_that_ended_meanwhile_is_delivered_by_another_machine(
    product: RunningStack, tmp_path: Path
) -> None:
    """D8: the process dies, its machine's disk with it, and nobody is left in the room."""
    meeting = await live(product)
    process = processes.meeting_of(processes.only_browser(product))
    at_ms = time.time() * 1000
    process.kill()
    await product.sandbox.host(meeting.room.room_id, HostAction.END)
    shutil.rmtree(product.settings.work_dir / meeting.job_id)
    job, run = await ended(product, meeting.job_id, Ended("completed", "call_ended"))
    assert (job["attempt"], run.run["run_count"]) == (2, 2)
    room = await product.sandbox.room(meeting.room.room_id)
    heard = await hear(Operator(product), meeting.job_id, room, tmp_path)
    assert len(heard.sounds) == 3
    assert heard.manifest["gaps"] == []
    assert heard.manifest["exitReason"] == "call_ended"
    assert last_spoken_ms(room, at_ms) - heard.last_sound_ms() <= MOST_UNSENT_MS


async def test_a_frozen_process_that_wakes_up_leaves_to_its_successor(
    product: RunningStack,
) -> None:
    """Its number is outdated: no second bot stays, and Prefect hears of the successor only."""
    meeting = await live(product)
    process = processes.meeting_of(processes.only_browser(product))
    at = time.time()
    process.send_signal(signal.SIGSTOP)
    try:
        # It holds its lease until that runs out.
        await meeting.until_back(at, extra_seconds=LEASE_SECONDS)
    finally:
        process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(GONE_SECONDS):
        while meeting.first in await meeting.look():
            await asyncio.sleep(0.1)
    await asyncio.to_thread(psutil.wait_procs, [process], timeout=GONE_SECONDS)
    assert len(await meeting.look()) == 1
    await Customer(product).leave(meeting.job_id)
    job, run = await ended(product, meeting.job_id, Ended("completed", "leave_requested"))
    assert job["attempt"] == 2
    final = [state["name"] for state in run.states if state["type"] in ("CANCELLED", "FAILED")]
    assert final == []


async def test_a_meeting_outlives_its_worker(product: RunningStack) -> None:
    """D1, D22: nothing is doubled, and the next worker takes new jobs."""
    meeting = await live(product)
    process = processes.meeting_of(processes.only_browser(product))
    worker = product.worker()
    async with meeting.counted():
        worker.kill()
        async with asyncio.timeout(60):
            while not _another_worker(product, worker.pid):
                await asyncio.sleep(0.2)
        await recorded_again(meeting)
    assert process.is_running()
    assert meeting.seen == {meeting.first}
    await Customer(product).leave(meeting.job_id)
    job, run = await ended(product, meeting.job_id, Ended("completed", "leave_requested"))
    assert (job["attempt"], run.run["run_count"]) == (1, 1)
    manifest = await Operator(product).manifest(meeting.job_id)
    assert manifest["gaps"] == []


def _another_worker(product: RunningStack, old: int) -> bool:
    pid = product.stack.supervisor.pid("worker")
    return pid is not None and pid != old
