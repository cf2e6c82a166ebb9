"""kill -9 of the process that writes: what is left plays, and at most two seconds are missing."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from bot.recording.finalize import finalize
from core.jobs.failures import ExitReason
from core.recordings.journal import read_journal
from tests.bot.listening import RATE, decode, part, strength

pytestmark = [pytest.mark.media, pytest.mark.integration]

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("after_seconds", [3.1, 4.45])
async def test_a_killed_process_loses_at_most_two_seconds(
    tmp_path: Path, after_seconds: float
) -> None:
    work_dir = tmp_path / "job"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bot.recording.live_writer", str(work_dir),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    started = await asyncio.wait_for(process.stdout.readline(), 30)
    assert started == b"recording\n"
    began = time.time()
    await asyncio.sleep(after_seconds)
    process.send_signal(signal.SIGKILL)
    spoken_ms = (time.time() - began) * 1000
    await asyncio.wait_for(process.wait(), 10)
    journal = read_journal(work_dir / "1")
    assert journal.closed is None
    recording = finalize(work_dir)
    assert recording.exit_reason is ExitReason.ERROR
    assert len(recording.media) == 2
    for file, tone in zip(recording.media, (440, 880), strict=True):
        sound = decode(file.path)
        assert len(sound) / RATE * 1000 >= spoken_ms - 2000
        assert strength(part(sound, 200, spoken_ms - 2000), tone) > -20
