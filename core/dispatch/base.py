"""Handing jobs to whatever runs them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
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
