"""What is lost when a bot is killed without warning: its journal against the moment of the kill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psutil

from bench.attendance import guest, lone_bot
from bench.figures import Figure, at_most
from bench.rooms import Sandbox
from core.jobs.spec import RecordingOptions
from core.recordings.journal import read_journals
from core.settings import Settings

ROUNDS = 3
RECORD_SECONDS = 8.0


async def measure(settings: Settings, sandbox: Sandbox, say: Callable[[str], None]) -> list[Figure]:
    """kill -9 of the bot's whole process tree, while everybody's track is being recorded."""
    lost: list[float] = []
    for number in range(ROUNDS):
        say(f"kill {number + 1} of {ROUNDS}")
        lost.append(await _kill(settings, sandbox))
    return [at_most("media lost when the bot is killed", lost, "s", 2)]


async def _kill(settings: Settings, sandbox: Sandbox) -> float:
    room = await sandbox.room(video_toggle=True)
    job_id, command = lone_bot(room.guest_url, "doomed", RecordingOptions(video="tab"))
    async with guest(settings, command, dies=True) as pid:
        await asyncio.sleep(RECORD_SECONDS)
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
        killed_ms = time.time() * 1000
        for process in tree:
            process.kill()
        psutil.wait_procs(tree, timeout=10)
    await sandbox.client.delete(room.room_id)
    (journal,) = read_journals(settings.work_dir / job_id)
    # Not from the final files: those are padded to equal length.
    ends = [journal.opened.t0_ms + stream.end_ms for stream in journal.streams.values()]
    # The worst of all speakers and the tab video.
    return (killed_ms - min(ends)) / 1000
