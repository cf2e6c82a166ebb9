"""Handing jobs to whatever runs them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Dispatcher(Protocol):
    async def submit(self, job_id: str, due: datetime, tags: Sequence[str]) -> str:
        """Have the job run from `due` on and return the flow run's id.

        Once per job: submitting again returns the same run.

        Raises:
            Unavailable: nothing was handed over, or nobody knows; submit again.
        """
        ...

    async def cancel(self, flow_run_id: str) -> None:
        """Stop a run, or keep it from starting; one that is over or unknown is no error.

        Raises:
            Unavailable: nobody was told; cancel again.
        """
        ...


class RunPhase(StrEnum):
    """Where a flow run is: not begun, in somebody's hands, or over in one of two ways."""

    WAITING = "waiting"
    ACTIVE = "active"
    CANCELLED = "cancelled"
    ENDED = "ended"


@dataclass(frozen=True)
class RunSeen:
    """A flow run as its server knows it.

    `due` is when a waiting run may start, `since` when the run got into its phase, `starts` how
    often a process has begun it.
    """

    phase: RunPhase
    due: datetime | None
    since: datetime
    starts: int


@dataclass(frozen=True)
class RunData:
    """What was kept of a job's runs, in numbers."""

    flow_runs: int = 0
    task_runs: int = 0
    logs: int = 0
    artifacts: int = 0

    def counts(self) -> dict[str, int | None]:
        return {
            "flowRuns": self.flow_runs,
            "taskRuns": self.task_runs,
            "logs": self.logs,
            "artifacts": self.artifacts,
        }


class RunEraser(Protocol):
    async def erase(self, job_id: str, flow_run_id: str | None) -> RunData:
        """Remove all runs of a job that is over, with what they left; it has looked afterwards.

        Raises:
            Unavailable: nobody answered, or something is left; erase again.
        """
        ...


class RunBook(Protocol):
    """What there is to know about runs that were submitted, and when they start."""

    async def look(self, flow_run_ids: Collection[str]) -> Mapping[str, RunSeen]:
        """The runs that exist; those that are unknown there are missing from the answer.

        Raises:
            Unavailable: nobody answered; nothing follows from that for any run.
        """
        ...

    async def move(self, flow_run_id: str, due: datetime, why: str = "") -> None:
        """Have a run that nobody works on start from `due` on, whatever state it is in.

        `why` is what people read beside its new state.

        Raises:
            Unavailable: nobody was told; move it again.
        """
        ...

    async def fail(self, flow_run_id: str, why: str) -> None:
        """End a run that nobody works on as failed, whatever state it is in.

        Raises:
            Unavailable: nobody was told; fail it again.
        """
        ...


class Runs(Dispatcher, RunBook, Protocol):
    """Both: what the repair of runs and the watcher need."""
