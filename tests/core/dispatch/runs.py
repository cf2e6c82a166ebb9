"""Flow runs in memory, as a Prefect server keeps them; `test_prefect` shows that it does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from core.dispatch.base import RunPhase, RunSeen
from core.errors import Unavailable
from tests.support.clock import ManualClock


@dataclass
class MemoryRuns:
    """`down` makes it as unavailable as a stopped server."""

    clock: ManualClock
    runs: dict[str, RunSeen] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    down: bool = False
    looked_at: list[int] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    async def submit(self, job_id: str, due: datetime, tags: Sequence[str]) -> str:
        self._check()
        run_id = self.keys.setdefault(job_id, f"run-{len(self.keys)}-{job_id}")
        self.tags.setdefault(run_id, tuple(tags))
        self.runs.setdefault(run_id, RunSeen(RunPhase.WAITING, due, self.clock.now(), 0))
        return run_id

    async def cancel(self, flow_run_id: str) -> None:
        self._check()
        if flow_run_id in self.runs:
            self.put(flow_run_id, RunPhase.CANCELLED)

    async def look(self, flow_run_ids: Collection[str]) -> Mapping[str, RunSeen]:
        self._check()
        self.looked_at.append(len(flow_run_ids))
        return {run_id: self.runs[run_id] for run_id in flow_run_ids if run_id in self.runs}

    async def move(self, flow_run_id: str, due: datetime, why: str = "") -> None:
        self._check()
        seen = self.runs[flow_run_id]
        self.runs[flow_run_id] = replace(
            seen, phase=RunPhase.WAITING, due=due, since=self.clock.now()
        )
        self.moved.append((flow_run_id, why))

    async def fail(self, flow_run_id: str, why: str) -> None:
        self._check()
        self.put(flow_run_id, RunPhase.ENDED)
        self.failed.append((flow_run_id, why))

    def put(self, flow_run_id: str, phase: RunPhase, starts: int = 0) -> None:
        """What happens to a run behind our back."""
        self.runs[flow_run_id] = replace(
            self.runs[flow_run_id], phase=phase, since=self.clock.now(), starts=starts
        )

    def lose(self, flow_run_id: str) -> None:
        """Somebody deleted it, or the database was restored."""
        del self.runs[flow_run_id], self.tags[flow_run_id]
        self.keys = {job: run for job, run in self.keys.items() if run != flow_run_id}

    def _check(self) -> None:
        if self.down:
            raise Unavailable("Prefect is down.")
