"""What a worker tells of deaths, in tests without a job store."""

from __future__ import annotations

from flows.holding import Deaths


class NotedDeaths(Deaths):
    """Every death is its job's; `told` are the jobs, in order."""

    def __init__(self) -> None:
        """Without resources: there is nothing to look up."""
        self.told: list[str] = []

    async def concerns(self, job_id: str, holder: str) -> bool:
        return True

    async def tell(self, job_id: str, holder: str) -> None:
        self.told.append(job_id)
