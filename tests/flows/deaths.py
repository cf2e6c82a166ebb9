"""What a worker is told about deaths in tests without a job store."""

from __future__ import annotations

from flows.holding import Deaths


class StrangeDeaths(Deaths):
    """No death is any job's: another process holds each of them."""

    def __init__(self) -> None:
        """Without resources: there is nothing to look up."""

    async def concerns(self, job_id: str, holder: str) -> bool:
        return False
