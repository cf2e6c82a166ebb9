"""The bot's ear for commands: the first one that ends its stay counts."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from bot.control import Command, ControlChannel, Outcome, Verb
from core.clock import Clock
from core.errors import MeetbotError, StaleAttempt

log = logging.getLogger(__name__)

RECONNECT_SECONDS: Final = 1.0
SETTLE_TIMEOUT_SECONDS: Final = 5.0
ENDING_VERBS: Final = frozenset({Verb.LEAVE, Verb.CANCEL})


class Commands:
    """Listens while the session lives. `asked_to_go` is set by `leave-call` and `cancel`."""

    def __init__(self, channel: ControlChannel, stale: asyncio.Event, clock: Clock) -> None:
        self.asked_to_go = asyncio.Event()
        self._channel = channel
        self._stale = stale
        self._clock = clock
        self._open: list[Command] = []

    @property
    def cancels(self) -> bool:
        """Whether one of the open commands is `cancel`: it beats a `leave-call`."""
        return any(command.verb is Verb.CANCEL for command in self._open)

    async def listen(self) -> None:
        """Take commands until cancelled."""
        while True:
            try:
                async for command in self._channel.commands():
                    await self._take(command)
            except StaleAttempt:
                self._stale.set()
                return
            except MeetbotError as error:
                log.warning("Commands cannot be heard now: %s", error.message)
            await self._clock.sleep(RECONNECT_SECONDS)

    async def settle(self, detail: str = "") -> None:
        """Answer what was asked: it is done."""
        while self._open:
            await self._settle(self._open.pop(), Outcome.DONE, detail)

    async def _take(self, command: Command) -> None:
        if command.verb in ENDING_VERBS:
            self._open.append(command)
            self.asked_to_go.set()
        else:
            await self._settle(command, Outcome.REFUSED, f"This bot does not know {command.verb}.")

    async def _settle(self, command: Command, outcome: Outcome, detail: str) -> None:
        try:
            async with asyncio.timeout(SETTLE_TIMEOUT_SECONDS):
                await self._channel.settle(command.id, outcome, detail)
        except (MeetbotError, TimeoutError) as error:
            # The command stays open; whoever reads it sees that the bot has left.
            log.warning("The answer to %s could not be told: %s", command.verb, error)
