"""Processes for meetings, forked from one that has imported everything already (D1)."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from multiprocessing.process import BaseProcess
from typing import Final

from prefect.client.schemas.objects import FlowRun

from flows.process import nothing, run_meeting, run_transcript, run_uploads

WARM_UP_SECONDS: Final = 60
# What the fork server imports once, so that no meeting has to.
PRELOAD: Final = ["flows.preload"]


class MeetingForks:
    """One fork server; its children are meetings. They outlive this process if it is killed."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)

    def warm_up(self) -> None:
        """Start the fork server and wait for its imports: its first child comes after them."""
        first = self._context.Process(target=nothing)
        first.start()
        first.join(WARM_UP_SECONDS)

    def start(self, flow_run: FlowRun) -> BaseProcess:
        """A process that runs the meeting flow for `flow_run`."""
        process = self._context.Process(
            target=run_meeting, args=(flow_run.model_dump_json(),), name=flow_run.name
        )
        process.start()
        return process

    def start_uploads(self, flow_run: FlowRun) -> BaseProcess:
        """A process that delivers what storage refused, for the run `flow_run`."""
        process = self._context.Process(
            target=run_uploads, args=(flow_run.model_dump_json(),), name=flow_run.name
        )
        process.start()
        return process

    def start_transcript(self, flow_run: FlowRun) -> BaseProcess:
        """A process that makes a transcript of a delivered recording, for the run `flow_run`."""
        process = self._context.Process(
            target=run_transcript, args=(flow_run.model_dump_json(),), name=flow_run.name
        )
        process.start()
        return process


async def ended(process: BaseProcess) -> None:
    """Wait for a child without holding a thread."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(process.sentinel, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(process.sentinel)
    # The sentinel says that it ended; this reaps it.
    await asyncio.to_thread(process.join, 5)


def exit_text(code: int | None) -> str:
    """An exit code in words, by the signal's name where it was one."""
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
