"""Which bot goes to a job's meeting: one in a browser, or a simulated one for load tests."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from bot.control import ControlChannel
from bot.returning import Past
from bot.session import Ending, MeetingSession
from core.clock import Clock
from core.errors import BotFault
from core.jobs.failures import ExitReason
from core.jobs.spec import JobSpec
from core.settings import Settings
from core.storage.base import Storage
from flows.simulated import DRIVER, SimulatedSession


class Session(Protocol):
    """What a run asks of a bot; see `bot.session.MeetingSession`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def join(self) -> None: ...

    async def capture(self) -> Ending: ...

    async def stop(self, reason: ExitReason) -> Ending: ...


def open_session(
    spec: JobSpec,
    settings: Settings,
    channel: ControlChannel,
    clock: Clock,
    *,
    past: Past | None = None,
    storage: Storage | None = None,
) -> Session:
    """The bot of a job; enter it to send it on its way, or back into its meeting (`past`).

    Raises:
        BotFault: a simulated one where none is allowed, for a live job, or a second time.
    """
    if spec.driver != DRIVER:
        return MeetingSession(spec, settings, channel, clock, past, storage)
    if spec.livemode or not settings.sandbox.simulated:
        raise BotFault(
            "Simulated meetings are for test keys, and only where MEETBOT_SANDBOX__SIMULATED is "
            "set."
        )
    if past is not None and past.in_call:
        raise BotFault("A simulated meeting ends with its process; nobody can come back to it.")
    return SimulatedSession(spec, settings, channel, clock)
