"""What a bot process says and hears: reports out, commands in, a lease to renew (design.md D3).

The bot knows only this interface. `flows.channel` implements it over the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from core.jobs.lifecycle import Event, RecordingState
from core.jobs.verbs import Outcome as Outcome
from core.jobs.verbs import Verb as Verb


@dataclass(frozen=True)
class Command:
    """A request to a live bot. `issued_at` is the moment the API accepted it."""

    id: str
    verb: Verb
    payload: Mapping[str, Any]
    issued_at: datetime


@dataclass(frozen=True)
class Moved:
    """The job's life went on: `event` is one of the lifecycle table."""

    event: Event
    at: datetime
    recording_state: RecordingState | None = None


@dataclass(frozen=True)
class Speaking:
    """One participant as the live view shows it; `level` is 0-1, None when unknown."""

    participant_id: str
    display_name: str
    level: float | None
    recorded_seconds: float


@dataclass(frozen=True)
class Progress:
    """A snapshot for people watching; sent about once a second while recording."""

    at: datetime
    recorded_seconds: float
    bytes_journalled: int
    participants: tuple[Speaking, ...] = field(default=())


@dataclass(frozen=True)
class ConsentAnswered:
    """Somebody in the room answered a request to record; `granted` is what they said (PL-20)."""

    at: datetime
    granted: bool
    participant_id: str | None
    display_name: str


@dataclass(frozen=True)
class CompetingBotSeen:
    """Another company's notetaker is in the room; told once per detected bot (LC-30)."""

    at: datetime
    participant_id: str
    display_name: str
    bot_name: str
    leaving: bool


Report = Moved | Progress | ConsentAnswered | CompetingBotSeen


class ControlChannel(Protocol):
    async def report(self, report: Report) -> None:
        """Tell the job store.

        Raises:
            StaleAttempt: a newer attempt holds the job; the bot must leave without a trace.
        """
        ...

    def commands(self) -> AsyncIterator[Command]:
        """Commands for this job, oldest first, each until it is settled; runs until closed."""
        ...

    async def begin(self, command_id: str) -> bool:
        """Ask right before doing what must not be done twice (`core.jobs.verbs.ONCE`).

        False: it is settled, or an earlier attempt began it and died; the bot leaves it alone.

        Raises:
            StaleAttempt: a newer attempt holds the job.
        """
        ...

    async def settle(
        self,
        command_id: str,
        outcome: Outcome,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Say how a command ended, and what it brought. Settling twice keeps the first answer."""
        ...

    async def renew(self) -> None:
        """Renew the lease.

        Raises:
            StaleAttempt: this attempt is outdated.
        """
        ...
