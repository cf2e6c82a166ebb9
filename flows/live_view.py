"""What people see of a run in the Prefect UI: a live progress artifact, and links at the end.

Artifacts are only looked at; when Prefect does not take one, the meeting goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    aupdate_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.states import Crashed

from core.clock import rfc3339
from core.jobs.lifecycle import Status
from core.recordings.recording import Recording
from flows.resources import Resources
from flows.run import MeetingRun

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 3.0
# So long the end of a run waits for Prefect to take what became of dead tasks.
BURY_SECONDS: Final = 5.0
# How far a job is in each status, in percent.
SHARE: Final[dict[Status, float]] = {
    Status.QUEUED: 0,
    Status.JOINING: 10,
    Status.ENTERING_LOBBY: 20,
    Status.IN_MEETING: 30,
    Status.RECORDING: 50,
    Status.FINALIZING: 80,
}


class LiveView:
    """Keeps the run's progress artifact fresh while the block runs."""

    def __init__(self, resources: Resources, run: MeetingRun) -> None:
        self._resources = resources
        self._run = run
        self._artifact: UUID | None = None
        self._shown = ""
        self._task: asyncio.Task[None] | None = None
        self._burying: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._refresh(), name="live view")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    def bury(self, flow_run_id: UUID, began: datetime) -> None:
        """Show the tasks of this run's dead processes as crashed, not as running for ever (D10).

        In the background: the bot's way back into its meeting does not wait for Prefect.

        Args:
            began: when this process began; what is older is theirs. It holds the job by now.
        """
        burying = self._tolerant(_bury(flow_run_id, began))
        self._burying = asyncio.create_task(burying, name="burying")

    async def conclude(self) -> None:
        """Show the end: full progress, and a page with what came out."""
        await self._stop()
        await self._show(100, f"The job is {self._run.status}.")
        await self._tolerant(
            acreate_markdown_artifact(
                key="result",
                markdown=self._page(),
                description=f"What came out of {self._run.job_id}",
            )
        )

    async def _stop(self) -> None:
        if self._burying is not None:
            _, late = await asyncio.wait({self._burying}, timeout=BURY_SECONDS)
            for burying in late:
                burying.cancel()
            self._burying = None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _refresh(self) -> None:
        while True:
            share = SHARE.get(self._run.status, 100)
            await self._show(share, self._text())
            await self._resources.clock.sleep(REFRESH_SECONDS)

    async def _show(self, share: float, text: str) -> None:
        if text == self._shown:
            return
        self._shown = text
        if self._artifact is None:
            made = await self._tolerant(
                acreate_progress_artifact(progress=share, key="live", description=text)
            )
            self._artifact = made if isinstance(made, UUID) else None
            return
        await self._tolerant(
            aupdate_progress_artifact(self._artifact, progress=share, description=text)
        )

    def _text(self) -> str:
        progress = self._run.progress()
        if progress is None:
            return f"The job is {self._run.status}."
        # Ids and numbers only: names of people stay in the customer's bucket.
        return (
            f"{self._run.status}: {progress.recorded_seconds:.0f} s recorded of "
            f"{len(progress.participants)} participants, {progress.bytes_journalled:,} bytes"
        )

    def _page(self) -> str:
        run, api = self._run, self._resources.settings.api.public_url
        lines = [
            f"# {run.job_id}: {run.status}",
            "",
            f"[The job, over the API]({api}/api/v1/jobs/{run.job_id}) (needs an API key)",
        ]
        if run.outcome.failure is not None:
            failure = run.outcome.failure
            lines += ["", f"**{failure.failure}**: {failure.message}"]
        if run.outcome.manifest_uri is not None:
            lines += ["", f"Manifest: `{run.outcome.manifest_uri}`"]
        if run.outcome.evidence:
            link = f"{api}/api/v1/jobs/{run.job_id}/evidence"
            lines += ["", f"What the page showed ([links, over the API]({link})):", ""]
            lines += [f"- `{file.uri}`" for file in run.outcome.evidence]
        if run.outcome.kept is not None:
            lines += ["", run.outcome.kept]
        if run.outcome.recording is not None:
            lines += ["", *_table(run.outcome.recording)]
        return "\n".join(lines)

    async def _tolerant(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except Exception:
            log.warning("Prefect did not take an artifact", exc_info=True)
            return None


async def _bury(flow_run_id: UUID, began: datetime) -> None:
    open_states = [StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED]
    async with get_client() as client:
        left = await client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])),
            task_run_filter=TaskRunFilter(
                state=TaskRunFilterState(type=TaskRunFilterStateType(any_=open_states))
            ),
        )
        for task_run in left:
            if task_run.start_time is None or task_run.start_time < began:
                dead: State[Any] = Crashed(message="Its process died; the next attempt went on.")
                await client.set_task_run_state(task_run.id, dead, force=True)


def _table(recording: Recording) -> list[str]:
    """The files of a recording; ids only, names of people stay in the customer's bucket."""
    rows = [
        f"| `{media.name}` | {media.kind} | {media.bytes:,} | "
        f"{(media.end_offset_ms - media.start_offset_ms) / 1000:.1f} | {media.attribution or ''} |"
        for media in recording.media
    ]
    return [
        f"{recording.recorded_seconds} s recorded from {rfc3339(recording.started_at)}, "
        f"left because of `{recording.exit_reason}`",
        "",
        "| object | kind | bytes | seconds | attribution |",
        "| --- | --- | ---: | ---: | --- |",
        *rows,
    ]
