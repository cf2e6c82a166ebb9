"""The body of a meeting's own process: one flow run, from a warm fork."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any


def nothing() -> None:
    """A child that only shows that forking works."""


def run_meeting(flow_run: str) -> None:
    """Run the meeting flow for `flow_run` (JSON of Prefect's FlowRun); the process's only work."""
    # Signals to the worker's terminal or group must not reach a live meeting.
    os.setsid()
    from flows.meeting import meeting

    _run(meeting, flow_run)


def run_uploads(flow_run: str) -> None:
    """Run the flow that delivers postponed recordings; it may be killed at any time."""
    from flows.uploads import uploads

    _run(uploads, flow_run)


def run_transcript(flow_run: str) -> None:
    """Run the flow that makes a transcript later; it may be killed at any time."""
    from flows.transcripts import transcribe

    _run(transcribe, flow_run)


def _run(flow: Any, flow_run: str) -> None:
    from prefect.client.schemas.objects import FlowRun
    from prefect.exceptions import Abort
    from prefect.flow_engine import run_flow_async
    from prefect.logging.configuration import setup_logging

    from core.settings import Settings
    from flows.scratch import own_scratch

    setup_logging()
    run = FlowRun.model_validate_json(flow_run)
    # Aborted: another process of the same run has the job, and tells Prefect how it went.
    with contextlib.suppress(Abort), own_scratch(Settings().scratch_dir):
        asyncio.run(
            run_flow_async(flow, flow_run=run, parameters=run.parameters, return_type="state")
        )
