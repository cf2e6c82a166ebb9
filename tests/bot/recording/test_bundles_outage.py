"""Journal bundles while storage is away or slow: the recording never notices (D8, D9)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.recording.bundles import BundleUploader, journal_prefix, restore
from core.errors import StorageError
from core.storage.base import StoredObject
from core.storage.local import LocalStorage
from tests.bot.recording.writing import JOB, write_attempt
from tests.support.clock import ManualClock

pytestmark = pytest.mark.integration

INTERVAL = 3.0


class Trying(LocalStorage):
    """Notes when it is asked; `trouble` is raised while set, `gate` holds an object on its way."""

    trouble: Exception | None = None
    gate: threading.Event | None = None
    asked = 0

    def put_bytes(self, key: str, data: bytes, content_type: str) -> StoredObject:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        if self.gate is not None:
            gate, self.gate = self.gate, None
            assert gate.wait(20)
        return super().put_bytes(key, data, content_type)


@pytest.fixture
def storage(tmp_path: Path) -> Trying:
    return Trying(tmp_path / "bucket", files_url="http://files", link_secret=SecretStr("s"))


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / JOB
    write_attempt(folder, seconds=2)
    return folder


def _is(ship: BundleUploader, failures: int) -> bool:
    return ship.failures == failures


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_storage_that_is_away_is_asked_less_and_less_often_and_caught_up(
    work_dir: Path, storage: Trying, tmp_path: Path
) -> None:
    clock = ManualClock()
    storage.trouble = StorageError("The storage does not answer.")
    async with BundleUploader(work_dir, 1, storage, INTERVAL, clock) as ship:
        for number, wait in enumerate((3, 6, 12, 24, 48, 60, 60), start=1):
            await until(lambda: bool(clock._sleepers))
            clock.advance(wait - 1)
            await asyncio.sleep(0.02)
            assert storage.asked == number - 1
            clock.advance(2)
            await until(partial(_is, ship, number))
        storage.trouble = None
        await until(lambda: bool(clock._sleepers))
        clock.advance(60)
        await until(lambda: ship.failures == 0 and ship.lag_bytes == 0 and storage.asked == 8)
    assert restore(storage, JOB, tmp_path / "there") >= 1


@pytest.mark.parametrize(
    "trouble", [StorageError("No."), OSError(5, "the disk is going"), PermissionError(13, "no")]
)
async def test_no_trouble_of_theirs_leaves_the_block(
    work_dir: Path, storage: Trying, trouble: Exception
) -> None:
    """The recording's own errors are the recorder's to tell."""
    storage.trouble = trouble
    async with BundleUploader(work_dir, 1, storage, INTERVAL, ManualClock()) as ship:
        assert await ship.ship() is False
    assert ship.failures == 2


async def test_an_object_that_is_slow_to_arrive_is_not_overtaken(
    work_dir: Path, storage: Trying, tmp_path: Path
) -> None:
    """The meeting ends while a bundle is on its way: the last one waits for it."""
    clock = ManualClock()
    gate = storage.gate = threading.Event()
    loop = asyncio.get_running_loop()
    async with BundleUploader(work_dir, 1, storage, INTERVAL, clock):
        await until(lambda: bool(clock._sleepers))
        clock.advance(INTERVAL)
        await until(lambda: storage.asked == 1)
        with (work_dir / "1" / "late.bin").open("wb") as file:
            file.write(b"recorded at the very end")
        loop.call_later(0.2, gate.set)
    keys = [stored.key for stored in storage.list(journal_prefix(JOB))]
    assert keys == [f"{journal_prefix(JOB)}1/00000{number}" for number in (0, 1)]
    there = tmp_path / "there"
    assert restore(storage, JOB, there) == 2
    assert (there / "1" / "late.bin").read_bytes() == b"recorded at the very end"
