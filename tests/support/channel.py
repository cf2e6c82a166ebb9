"""A control channel in memory, for tests that need no database; `tests/bot/session` holds the
conformance tests that it shares with the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bot.control import Command, Moved, Outcome, Progress, Report, Verb
from core.errors import MeetbotError, StaleAttempt
from core.ids import new_id
from core.jobs.lifecycle import Event, Status, advance


class MemoryChannel:
    """Keeps the job's status by the real lifecycle table; refuses what the job store would.

    `trouble` is raised by `report` and `renew` while it is set, as when the store is away.
    """

    def __init__(self) -> None:
        self.status = Status.QUEUED
        self.reports: list[Report] = []
        self.settled: dict[str, tuple[Outcome, str]] = {}
        self.results: dict[str, Mapping[str, Any] | None] = {}
        self._begun: set[str] = set()
        self.outdated = False
        self.trouble: MeetbotError | None = None
        self._open: dict[str, Command] = {}
        self._changed = asyncio.Condition()

    @property
    def events(self) -> list[Event]:
        return [report.event for report in self.reports if isinstance(report, Moved)]

    @property
    def progress(self) -> Progress | None:
        snapshots = [report for report in self.reports if isinstance(report, Progress)]
        return snapshots[-1] if snapshots else None

    async def issue(self, verb: Verb, payload: Mapping[str, Any] | None = None) -> str:
        """What the API does: write a command down and wake the bot."""
        command = Command(new_id("cmd"), verb, payload or {}, datetime.now(UTC))
        async with self._changed:
            self._open[command.id] = command
            self._changed.notify_all()
        return command.id

    async def until(self, condition: Callable[[MemoryChannel], bool], seconds: float = 20) -> None:
        """Wait until something holds of this channel."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def report(self, report: Report) -> None:
        self._check()
        async with self._changed:
            if isinstance(report, Moved):
                self.status = advance(self.status, report.event)
            self.reports.append(report)
            self._changed.notify_all()

    async def commands(self) -> AsyncIterator[Command]:
        given: set[str] = set()
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: any(key not in given for key in self._open))
                fresh = [command for key, command in self._open.items() if key not in given]
            for command in fresh:
                given.add(command.id)
                yield command

    async def begin(self, command_id: str) -> bool:
        self._check()
        if command_id in self._begun:
            await self.settle(command_id, Outcome.UNKNOWN)
        if command_id in self.settled:
            return False
        self._begun.add(command_id)
        return True

    async def settle(
        self,
        command_id: str,
        outcome: Outcome,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        async with self._changed:
            self._open.pop(command_id, None)
            if command_id not in self.settled:
                self.settled[command_id] = (outcome, detail)
                self.results[command_id] = result
            self._changed.notify_all()

    async def renew(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.outdated:
            raise StaleAttempt("Another attempt holds the job.")
        if self.trouble is not None:
            raise self.trouble
