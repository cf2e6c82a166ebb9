"""Flow runs brought back to life: what the watcher asks of Prefect (design.md D10)."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Failed, Scheduled

from core.dispatch.prefect import PrefectDispatcher


class Standing(StrEnum):
    """Where a run whose process is dead stands with Prefect."""

    WAITING = "waiting"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    LOST = "lost"


class Revival(Protocol):
    """The watcher's side of Prefect."""

    async def standing(self, flow_run_id: str) -> Standing:
        """How a run stands whose process is known to be dead.

        Raises:
            Unavailable: Prefect did not answer.
        """
        ...

    async def schedule(self, flow_run_id: str, why: str) -> None:
        """Have the run start again now, whatever state it is in.

        Raises:
            Unavailable: Prefect did not answer; schedule it again.
        """
        ...

    async def give_up(self, flow_run_id: str, why: str) -> None:
        """End the run as failed.

        Raises:
            Unavailable: Prefect did not answer.
        """
        ...


class PrefectRevival(PrefectDispatcher):
    """Implements `Revival`; open it as a dispatcher."""

    async def standing(self, flow_run_id: str) -> Standing:
        async with self._talking() as client:
            try:
                run = await client.read_flow_run(UUID(flow_run_id))
            except ObjectNotFound:
                return Standing.LOST
        match run.state_type:
            case StateType.SCHEDULED:
                return Standing.WAITING
            case StateType.CANCELLED | StateType.CANCELLING:
                return Standing.CANCELLED
            case _:
                return Standing.STOPPED

    async def schedule(self, flow_run_id: str, why: str) -> None:
        await self._set(flow_run_id, Scheduled(scheduled_time=datetime.now(UTC), message=why))

    async def give_up(self, flow_run_id: str, why: str) -> None:
        await self._set(flow_run_id, Failed(message=why))

    async def _set(self, flow_run_id: str, state: State[Any]) -> None:
        async with self._talking() as client:
            # Forced, because Prefect lets no run leave a final state by itself.
            await client.set_flow_run_state(UUID(flow_run_id), state, force=True)
