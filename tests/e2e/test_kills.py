"""Processes that die in a meeting: what was recorded is delivered, and little is lost (D8)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from sandbox.schemas import RoomCreated, RoomOptions, RoomView
from tests.e2e import processes
from tests.e2e.customer import Customer
from tests.e2e.ending import Ended, ended
from tests.e2e.listening import hear, last_spoken_ms
from tests.e2e.operator import Operator, Run
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.media, pytest.mark.timeout(300)]

SECONDS: Final = 6
MOST_LOST_MS: Final = 2_000
GONE_SECONDS: Final = 20


async def spoken_to(product: RunningStack) -> tuple[str, RoomCreated]:
    """A job that has recorded for a while, at a moment when somebody has just begun to speak."""
    customer = Customer(product)
    made = await product.sandbox.create_room(RoomOptions(video=False))
    job_id = await customer.dispatch(made.guest_url)
    await customer.until_recorded(job_id, SECONDS)
    async with asyncio.timeout(30):
        while not _speaking_for_a_second(await product.sandbox.room(made.room_id)):
            await asyncio.sleep(0.1)
    return job_id, made


def _speaking_for_a_second(room: RoomView) -> bool:
    now = time.time() * 1000
    return any(
        said.ended_at_ms is None and 1000 < now - said.started_at_ms < 1800
        for said in room.timeline
    )


async def killed(
    product: RunningStack, victim: str, folder: Path, detail: str
) -> tuple[dict[str, Any], Run]:
    """Kill the browser or the meeting process, and measure what is missing of the recording."""
    job_id, made = await spoken_to(product)
    browser = processes.only_browser(product)
    family = browser.children(recursive=True)
    process = browser if victim == "browser" else processes.meeting_of(browser)
    at_ms = time.time() * 1000
    process.kill()
    await asyncio.sleep(1)
    room = await product.sandbox.room(made.room_id)
    expected = Ended("failed", "error", "internal_error", detail)
    job, run = await ended(product, job_id, expected)
    _, alive = await asyncio.to_thread(psutil.wait_procs, [browser, *family], timeout=GONE_SECONDS)
    assert not alive, "parts of the browser live on"
    heard = await hear(Operator(product), job_id, room, folder)
    assert heard.manifest["exitReason"] == "error"
    assert heard.manifest["partial"] is True
    assert len(heard.sounds) == 3
    lost = last_spoken_ms(room, at_ms) - heard.last_sound_ms()
    assert lost <= MOST_LOST_MS, f"{lost:.0f} ms of speech are lost"
    assert at_ms - (heard.start_ms + heard.end_ms) <= MOST_LOST_MS
    return job, run


async def test_a_killed_browser_ends_the_job_with_its_recording(
    product: RunningStack, tmp_path: Path
) -> None:
    _, run = await killed(product, "browser", tmp_path, "browser crashed during the meeting")
    assert run.run["run_count"] == 1


async def test_a_killed_meeting_process_is_delivered_by_the_next(
    product: RunningStack, tmp_path: Path
) -> None:
    """The worker marks the run Crashed and schedules it again; the journal is delivered once."""
    job, run = await killed(product, "meeting", tmp_path, "process died during the meeting")
    assert run.run["run_count"] == 2
    assert job["attempt"] == 2
    names = [state["name"] for state in run.states]
    crashed = names.index("Crashed")
    assert "SIGKILL" in run.states[crashed]["message"]
    assert names[-1] == "Failed"
