"""How a stay in a room stops: for good, or because the bot fell out of it."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import MeetingError
from core.jobs.failures import ExitReason


@dataclass(frozen=True)
class Ending:
    """How the stay ended. `failure` makes the job `failed`, `cancelled` makes it `cancelled`."""

    exit_reason: ExitReason
    failure: MeetingError | None
    cancelled: bool


@dataclass(frozen=True)
class Lost:
    """Browser, page or media are gone, and the meeting may go on without the bot (D10).

    `reason` is for readers of the manifest. `since` is the last sign of life on
    `Clock.monotonic`. `answers`: the page still does what it is told, so it can leave.
    """

    reason: str
    since: float
    answers: bool = False
