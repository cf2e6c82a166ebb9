"""Jobs become flow runs of the meeting deployment. The one door to Prefect outside `flows`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelling, Failed, Scheduled

from core.dispatch import queues, run_data
from core.dispatch.base import RunData, RunPhase, RunSeen
from core.errors import Unavailable
from core.settings import PrefectSettings

CALL_SECONDS: Final = 10
# Prefect answers with no more rows than this at once.
LOOK_BATCH: Final = 200
# A run that is to start sooner is urgent; the others are asked for after it (design.md D11).
URGENT: Final = timedelta(seconds=5)
_ENDED: Final = frozenset({StateType.COMPLETED, StateType.FAILED, StateType.CRASHED})
_CANCELLED: Final = frozenset({StateType.CANCELLED, StateType.CANCELLING})


class PrefectDispatcher:
    """Open it once per process; it keeps its connections.

    The job id is the idempotency key, so that any number of submits make one run (design.md D2).
    """

    def __init__(self, settings: PrefectSettings) -> None:
        self._settings = settings
        self._deployment_id: UUID | None = None
        self._stack = AsyncExitStack()
        self._client: PrefectClient | None = None

    async def __aenter__(self) -> Self:
        auth = self._settings.auth
        client = PrefectClient(
            api=self._settings.api_url,
            auth_string=auth.get_secret_value() if auth is not None else None,
            httpx_settings={"timeout": httpx.Timeout(CALL_SECONDS), "trust_env": False},
        )
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client = None
        await self._stack.aclose()

    async def submit(self, job_id: str, due: datetime, tags: Sequence[str]) -> str:
        async with self._talking() as client:
            deployment_id = await self._deployment(client)
            try:
                run = await client.create_flow_run_from_deployment(
                    deployment_id,
                    parameters={"job_id": job_id},
                    state=Scheduled(scheduled_time=due),
                    name=job_id,
                    tags=list(tags),
                    idempotency_key=job_id,
                    work_queue_name=_queue(due),
                )
            except ObjectNotFound:
                # Deployed anew under another id; the next submit looks it up again.
                self._deployment_id = None
                raise
        return str(run.id)

    async def start(
        self,
        deployment: str,
        parameters: Mapping[str, str],
        *,
        queue: str,
        key: str,
        job_id: str | None = None,
    ) -> str:
        """A run of another deployment, now, in `queue`; one for all calls with the same `key`.

        One that is about a job is erased with the job's own.

        Raises:
            Unavailable: Prefect is away or does not know the deployment; call again.
        """
        async with self._talking() as client:
            found = await client.read_deployment_by_name(deployment)
            run = await client.create_flow_run_from_deployment(
                found.id,
                parameters=dict(parameters),
                name=key,
                tags=[] if job_id is None else [run_data.tag_of(job_id)],
                idempotency_key=key,
                work_queue_name=queue,
            )
        return str(run.id)

    async def cancel(self, flow_run_id: str) -> None:
        try:
            async with self._talking() as client:
                await client.set_flow_run_state(UUID(flow_run_id), Cancelling())
        except Unavailable as exc:
            if isinstance(exc.__cause__, ObjectNotFound):
                return
            raise

    async def look(self, flow_run_ids: Collection[str]) -> Mapping[str, RunSeen]:
        wanted = [UUID(run_id) for run_id in flow_run_ids]
        seen: dict[str, RunSeen] = {}
        for start in range(0, len(wanted), LOOK_BATCH):
            batch = wanted[start : start + LOOK_BATCH]
            async with self._talking() as client:
                runs = await client.read_flow_runs(
                    flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=batch)),
                    limit=LOOK_BATCH,
                )
            seen |= {str(run.id): _seen(run) for run in runs}
        return seen

    async def move(self, flow_run_id: str, due: datetime, why: str = "") -> None:
        await self._set(flow_run_id, Scheduled(scheduled_time=due, message=why or None))

    async def fail(self, flow_run_id: str, why: str) -> None:
        await self._set(flow_run_id, Failed(message=why))

    async def erase(self, job_id: str, flow_run_id: str | None) -> RunData:
        async with self._talking() as client:
            return await run_data.erase(client, job_id, flow_run_id)

    async def _set(self, flow_run_id: str, state: State[Any]) -> None:
        async with self._talking() as client:
            # Forced, because Prefect lets no run leave a final state by itself.
            await client.set_flow_run_state(UUID(flow_run_id), state, force=True)

    async def _deployment(self, client: PrefectClient) -> UUID:
        if self._deployment_id is None:
            found = await client.read_deployment_by_name(self._settings.deployment)
            self._deployment_id = found.id
        return self._deployment_id

    @asynccontextmanager
    async def _talking(self) -> AsyncIterator[PrefectClient]:
        """The client, with every way of its failing turned into Unavailable."""
        if self._client is None:
            raise Unavailable("The dispatcher is closed; open it with `async with` first.")
        try:
            async with asyncio.timeout(CALL_SECONDS):
                yield self._client
        except ObjectNotFound as exc:
            raise Unavailable(
                f"Prefect does not know the deployment {self._settings.deployment}, or the run. "
                "Register the deployments with `meetbot-server up` or `prefect deploy --all`."
            ) from exc
        except TimeoutError as exc:
            raise Unavailable(f"Prefect did not answer within {CALL_SECONDS} s.") from exc
        except (httpx.HTTPError, PrefectException) as exc:
            raise Unavailable(f"Prefect could not be used: {type(exc).__name__}: {exc}") from exc


def _queue(due: datetime) -> str:
    return queues.NOW if due - datetime.now(UTC) < URGENT else queues.SCHEDULED


def _seen(run: FlowRun) -> RunSeen:
    state = run.state
    if state is None:
        return RunSeen(RunPhase.WAITING, None, run.created or datetime.now(UTC), run.run_count)
    phase = RunPhase.ACTIVE
    if state.type is StateType.SCHEDULED:
        phase = RunPhase.WAITING
    elif state.type in _CANCELLED:
        phase = RunPhase.CANCELLED
    elif state.type in _ENDED:
        phase = RunPhase.ENDED
    return RunSeen(phase, state.state_details.scheduled_time, state.timestamp, run.run_count)
