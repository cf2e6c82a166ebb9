"""A bot without Prefect and database, so that a figure shows the bot and nothing else.

Run as `python -m bench.lone_bot SPEC [decode]` with settings in the environment; it prints `inside`
when it records and stays until its input ends, then prints a line of JSON. With `decode` received
video is decoded as usual instead of being replaced by canned frames.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from bot.capture.recorder import Recorder
from bot.session import MeetingSession
from core.clock import SystemClock
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Status
from core.jobs.spec import JobSpec, RecordingOptions
from core.settings import Settings
from tests.support.channel import MemoryChannel

ordinary_config = Recorder.page_config


def decoding_config(options: RecordingOptions) -> dict[str, Any]:
    """The page's configuration, with received video left alone."""
    config = ordinary_config(options)
    config["capture"]["canned"] = None
    return config


async def run(spec: JobSpec) -> None:
    channel = MemoryChannel()
    async with MeetingSession(spec, Settings(), channel, SystemClock()) as session:
        await session.join()
        recording = asyncio.create_task(session.capture())
        await channel.until(lambda seen: seen.status is Status.RECORDING, seconds=60)
        sys.stdout.write("inside\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await session.stop(ExitReason.LEAVE_REQUESTED)
        await recording
    progress = channel.progress
    seconds = progress.recorded_seconds if progress is not None else 0.0
    sys.stdout.write(json.dumps({"recordedSeconds": seconds}) + "\n")


def main(arguments: list[str]) -> None:
    if "decode" in arguments:
        Recorder.page_config = staticmethod(decoding_config)  # type: ignore[method-assign]
    asyncio.run(run(JobSpec.model_validate_json(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
