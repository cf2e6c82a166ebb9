"""All that Prefect keeps of a job's runs: found by name or tag, removed, looked for again (MF-22).

Prefect removes task runs with their flow run, logs a moment later in the background, and artifacts
not at all. Its events hold names of runs, which are ids, and expire by Prefect's own setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterName,
    FlowRunFilterTags,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from core.dispatch.base import RunData
from core.errors import Unavailable

PAGE: Final = 200
# A job has few runs; whoever has more is erased in several rounds.
MOST_PAGES: Final = 50


def tag_of(job_id: str) -> str:
    """Marks runs that are about a job and do not have its name."""
    return f"job:{job_id}"


async def erase(client: PrefectClient, job_id: str, flow_run_id: str | None) -> RunData:
    """See `RunEraser.erase`.

    Raises:
        Unavailable: a run is still going on, or something is left.
    """
    runs = await _runs(client, job_id, flow_run_id)
    going_on = [run.id for run in runs if run.state is not None and not run.state.is_final()]
    if going_on:
        raise Unavailable(f"Prefect still has a run of {job_id} that is not over.")
    known = {run.id for run in runs}
    if flow_run_id is not None and _is_uuid(flow_run_id):
        # Its logs and artifacts may be there although it is gone.
        known.add(UUID(flow_run_id))
    ids = sorted(known)
    if not ids:
        return RunData()
    found = RunData(
        flow_runs=len(runs),
        task_runs=len(await _task_runs(client, ids)),
        logs=len(await _logs(client, ids)),
        artifacts=await _erase_artifacts(client, ids),
    )
    for run in runs:
        try:
            await client.delete_flow_run(run.id)
        except ObjectNotFound:
            continue
    left = {
        "flow runs": len(await _runs(client, job_id, flow_run_id)),
        "task runs": len(await _task_runs(client, ids)),
        "log lines": len(await _logs(client, ids)),
    }
    if any(left.values()):
        named = ", ".join(f"{count} {name}" for name, count in left.items() if count)
        raise Unavailable(f"Prefect is still removing the runs of {job_id}: {named}.")
    return found


async def _runs(client: PrefectClient, job_id: str, flow_run_id: str | None) -> list[FlowRun]:
    by_name = FlowRunFilter(name=FlowRunFilterName(any_=[job_id]))
    found = await client.read_flow_runs(flow_run_filter=by_name, limit=PAGE)
    by_tag = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag_of(job_id)]))
    found += await client.read_flow_runs(flow_run_filter=by_tag, limit=PAGE)
    if flow_run_id is not None and _is_uuid(flow_run_id):
        by_id = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
        found += await client.read_flow_runs(flow_run_filter=by_id, limit=1)
    return list({run.id: run for run in found}.values())


async def _task_runs(client: PrefectClient, ids: Sequence[UUID]) -> list[UUID]:
    found: list[UUID] = []
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=list(ids)))
    for page in range(MOST_PAGES):
        part = await client.read_task_runs(flow_run_filter=chosen, limit=PAGE, offset=page * PAGE)
        found += [run.id for run in part]
        if len(part) < PAGE:
            break
    return found


async def _logs(client: PrefectClient, ids: Sequence[UUID]) -> list[UUID]:
    found: list[UUID] = []
    chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=list(ids)))
    for page in range(MOST_PAGES):
        part = await client.read_logs(log_filter=chosen, limit=PAGE, offset=page * PAGE)
        found += [one.id for one in part if one.id is not None]
        if len(part) < PAGE:
            break
    return found


async def _erase_artifacts(client: PrefectClient, ids: Sequence[UUID]) -> int:
    """Until a look finds none; how many there were."""
    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=list(ids)))
    removed = 0
    for _ in range(MOST_PAGES):
        part = await client.read_artifacts(artifact_filter=chosen, limit=PAGE)
        if not part:
            return removed
        for one in part:
            try:
                await client.delete_artifact(one.id)
            except ObjectNotFound:
                continue
            removed += 1
    raise Unavailable("Prefect keeps more artifacts of one job than are removed at once.")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
