"""A disk that fills up ends a recording in good order, and before it is full (MF-16)."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from bot.browser.bridge import Bridge
from bot.capture.recorder import Recorder
from bot.recording.disk import MIB, DiskGuard, DiskLow, free_bytes
from core.clock import SystemClock
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.spec import RecordingOptions
from core.recordings.journal import read_journal
from tests.bot.capture.conftest import spec

pytestmark = pytest.mark.unit


def test_there_has_to_be_room_for_the_final_files_as_well(tmp_path: Path) -> None:
    guard = DiskGuard(tmp_path, 500, free=lambda _: 700 * MIB)
    guard.check(200 * MIB)
    with pytest.raises(DiskLow, match=r"700 MiB.*MEETBOT_BOT__MIN_FREE_MIB") as caught:
        guard.check(201 * MIB)
    assert caught.value.failure is FailureCode.INTERNAL_ERROR


def test_a_folder_that_is_still_to_come_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    asked: list[Path] = []

    def free(folder: Path) -> int:
        asked.append(folder)
        return free_bytes(folder)

    DiskGuard(tmp_path / "work" / "job_1", 0, free).check(0)
    assert asked == [tmp_path]


def recorder(work_dir: Path, guard: DiskGuard) -> Recorder:
    clock = SystemClock()
    return Recorder(spec(RecordingOptions(video="off")), work_dir, Bridge(clock), clock, guard)


async def test_a_recording_ends_when_the_disk_runs_low_and_its_journal_is_whole(
    tmp_path: Path,
) -> None:
    """The session sees `failed`, leaves, and what was recorded is delivered."""
    spaces = itertools.chain([600 * MIB] * 2, itertools.repeat(400 * MIB))
    made = recorder(tmp_path / "job", DiskGuard(tmp_path, 500, lambda _: next(spaces)))
    await made.start()
    async with asyncio.timeout(20):
        await made.failed.wait()
    assert isinstance(made.failure, DiskLow)
    with pytest.raises(DiskLow):
        await made.stop(ExitReason.ERROR)
    journal = read_journal(tmp_path / "job" / "1")
    assert journal.closed is not None
    assert journal.closed.exit_reason is ExitReason.ERROR


async def test_nothing_is_begun_on_a_disk_without_room(tmp_path: Path) -> None:
    made = recorder(tmp_path / "job", DiskGuard(tmp_path, 500, lambda _: 0))
    with pytest.raises(DiskLow):
        await made.start()
    assert not (tmp_path / "job").exists()
