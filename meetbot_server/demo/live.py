"""What people see while the bot works: stages, speakers, seconds, levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from core.clock import Clock

POLL_SECONDS: Final = 0.4
STAGES: Final = (
    "queued",
    "joining",
    "entering_lobby",
    "in_meeting",
    "recording",
    "finalizing",
    "completed",
)
METER_WIDTH: Final = 24


class LiveView:
    """Follows one job by polling the API; prints lines instead where there is no terminal."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._printed = ""
        self._printed_at = 0.0
        if console.is_terminal:
            self._live.start()

    async def follow(
        self,
        api: httpx.AsyncClient,
        job_id: str,
        *,
        until: Callable[[dict[str, Any]], bool],
        seconds: float,
    ) -> dict[str, Any]:
        """The job as soon as `until` holds, or as it is after `seconds`."""
        deadline = self._clock.monotonic() + seconds
        while True:
            answer = await api.get(f"/api/v1/jobs/{job_id}")
            answer.raise_for_status()
            job: dict[str, Any] = answer.json()
            self._show(job)
            if until(job) or self._clock.monotonic() > deadline:
                return job
            await self._clock.sleep(POLL_SECONDS)

    def close(self) -> None:
        if self._live.is_started:
            self._live.stop()

    def _show(self, job: dict[str, Any]) -> None:
        if self._live.is_started:
            self._live.update(Group(_stages(job), _speakers(job)))
        now = self._clock.monotonic()
        if job["status"] != self._printed or (
            not self._live.is_started and now - self._printed_at >= 5
        ):
            self._printed, self._printed_at = job["status"], now
            self._console.print(_line(job))


def _stages(job: dict[str, Any]) -> Text:
    text = Text()
    for stage in STAGES:
        style = "bold green" if stage == job["status"] else "dim"
        text.append(f"{stage}  ", style=style)
    return text


def _speakers(job: dict[str, Any]) -> Table:
    progress = job.get("progress") or {}
    table = Table(box=None, padding=(0, 2))
    for title in ("speaker", "recorded", "level"):
        table.add_column(title, justify="right" if title == "recorded" else "left")
    for person in progress.get("participants", []):
        table.add_row(
            person["displayName"], f"{person['recordedSeconds']:.0f} s", _meter(person["level"])
        )
    return table


def _meter(level: float | None) -> str:
    if level is None:
        return ""
    return "█" * round(min(max(level, 0.0), 1.0) * METER_WIDTH)


def _line(job: dict[str, Any]) -> str:
    progress = job.get("progress") or {}
    people = ", ".join(
        f"{p['displayName']} {p['recordedSeconds']:.0f} s" for p in progress.get("participants", [])
    )
    recorded = progress.get("recordedSeconds")
    seconds = f" {recorded:.0f} s recorded" if recorded else ""
    return f"  {job['status']:<15}{seconds}{f' ({people})' if people else ''}"
