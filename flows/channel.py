"""The control channel over the database (design.md D3): reports in, commands out, the lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Any, Final

from bot.control import (
    Command,
    CompetingBotSeen,
    ConsentAnswered,
    Moved,
    Progress,
    Report,
)
from core.clock import Clock
from core.database import COMMANDS_CHANNEL, Database
from core.errors import Unavailable
from core.jobs import commands, leases, notices, service
from core.jobs.verbs import Outcome

# The safety net under LISTEN/NOTIFY: how long a command may wait when a notice was lost.
POLL_SECONDS: Final = 5.0


class DatabaseChannel:
    """One attempt's line to the job store; every write presents its fencing number."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        job_id: str,
        fence: int,
        *,
        lease_seconds: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._job_id = job_id
        self._fence = fence
        self._lease_seconds = lease_seconds

    async def report(self, report: Report) -> None:
        job_id, fence, now = self._job_id, self._fence, self._clock.now()
        async with self._database.begin() as session:
            match report:
                case Moved():
                    await service.apply_event(
                        session,
                        job_id,
                        report.event,
                        fence=fence,
                        now=now,
                        at=report.at,
                        recording_state=report.recording_state,
                    )
                case Progress():
                    live = _live(report)
                    await service.save_progress(session, job_id, live, fence=fence, now=now)
                case ConsentAnswered():
                    answer = notices.Consent.model_validate(asdict(report))
                    await notices.consent_answered(session, job_id, answer, fence=fence, now=now)
                case CompetingBotSeen():
                    seen = notices.CompetingBot.model_validate(asdict(report))
                    await notices.competing_bot_seen(session, job_id, seen, fence=fence, now=now)

    async def commands(self) -> AsyncIterator[Command]:
        seen: set[str] = set()
        async for _ in self._wake_ups():
            for command in await self._open_commands():
                if command.id not in seen:
                    seen.add(command.id)
                    yield command

    async def begin(self, command_id: str) -> bool:
        async with self._database.begin() as session:
            return await commands.begin(session, command_id, self._fence, now=self._clock.now())

    async def settle(
        self,
        command_id: str,
        outcome: Outcome,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        async with self._database.begin() as session:
            await commands.settle(
                session,
                command_id,
                outcome,
                now=self._clock.now(),
                detail=detail,
                result=dict(result) if result is not None else None,
            )

    async def renew(self) -> None:
        async with self._database.begin() as session:
            await leases.renew_lease(
                session,
                self._job_id,
                self._fence,
                seconds=self._lease_seconds,
                now=self._clock.now(),
            )

    async def _open_commands(self) -> list[Command]:
        async with self._database.begin() as session:
            rows = await commands.claim_open(session, self._job_id, self._fence)
            return [Command(row.id, row.verb, row.payload, row.issued_at) for row in rows]

    async def _wake_ups(self) -> AsyncIterator[None]:
        """One item for every moment at which commands may be waiting; for ever."""
        while True:
            try:
                async with aclosing(self._database.listen(COMMANDS_CHANNEL)) as notices:
                    pending = asyncio.ensure_future(anext(notices))
                    try:
                        while True:
                            done, _ = await asyncio.wait({pending}, timeout=POLL_SECONDS)
                            if not done:
                                yield
                                continue
                            job_id = pending.result()
                            # The first notice, an empty one, says that listening has begun.
                            if job_id in ("", self._job_id):
                                yield
                            pending = asyncio.ensure_future(anext(notices))
                    finally:
                        pending.cancel()
                        await asyncio.gather(pending, return_exceptions=True)
            except (Unavailable, StopAsyncIteration):
                # The database is away; the bot records on and asks again.
                await self._clock.sleep(1)


def _live(report: Progress) -> service.LiveProgress:
    return service.LiveProgress(
        at=report.at,
        recorded_seconds=round(report.recorded_seconds, 1),
        bytes_journalled=report.bytes_journalled,
        participants=tuple(
            service.LiveSpeaker(
                participant_id=person.participant_id,
                display_name=person.display_name,
                level=person.level,
                recorded_seconds=round(person.recorded_seconds, 1),
            )
            for person in report.participants
        ),
    )
