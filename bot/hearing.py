"""The bot's ear: commands that end its stay are known at once, all others wait in order."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.control import Command, ControlChannel, Outcome, Verb
from core.clock import Clock
from core.errors import MeetbotError, StaleAttempt

log = logging.getLogger(__name__)

RECONNECT_SECONDS: Final = 1.0
SETTLE_TIMEOUT_SECONDS: Final = 5.0
ENDING_VERBS: Final = frozenset({Verb.LEAVE, Verb.CANCEL})
# Verbs that wait for their turn, and answers that wait for the store.
MAX_WAITING: Final = 100
# Commands that were heard before; the channel may give one again until it is settled.
MAX_REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class Answer:
    """How a command ended; `result` is what it brought."""

    outcome: Outcome
    detail: str = ""
    result: Mapping[str, Any] | None = None


class Commands:
    """Listens while the session lives. `asked_to_go` is set by `leave-call` and `cancel`."""

    def __init__(self, channel: ControlChannel, stale: asyncio.Event, clock: Clock) -> None:
        self.asked_to_go = asyncio.Event()
        self._channel = channel
        self._stale = stale
        self._clock = clock
        self._ending: list[Command] = []
        self._waiting: deque[Command] = deque()
        self._more = asyncio.Event()
        # Begun by us: should the bot go before it is done, nobody knows how it ended.
        self._begun: set[str] = set()
        self._heard: OrderedDict[str, Answer | None] = OrderedDict()

    @property
    def cancels(self) -> bool:
        """Whether one of the open commands is `cancel`: it beats a `leave-call`."""
        return any(command.verb is Verb.CANCEL for command in self._ending)

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

    async def next(self) -> Command:
        """The oldest command that is not about leaving; waits for one."""
        while not self._waiting:
            self._more.clear()
            await self._more.wait()
        return self._waiting.popleft()

    def put_back(self, command: Command) -> None:
        """It was not done: whoever asks next gets it first."""
        self._waiting.appendleft(command)
        self._more.set()

    async def begin(self, command: Command) -> bool:
        """Ask before doing what must not be done twice; False: leave it alone.

        Raises:
            StaleAttempt: a newer attempt holds the job.
            MeetbotError: the store cannot be asked, so nothing may be done.
        """
        async with asyncio.timeout(SETTLE_TIMEOUT_SECONDS):
            begun = await self._channel.begin(command.id)
        if begun:
            self._begun.add(command.id)
        return begun

    async def answer(self, command: Command, answer: Answer) -> None:
        """Say how a command ended; told again with the next one when the store is away."""
        self._heard[command.id] = answer
        self._begun.discard(command.id)
        await self._tell()

    async def _tell(self) -> None:
        untold = [(key, kept) for key, kept in self._heard.items() if kept is not None]
        for command_id, kept in untold[-MAX_WAITING:]:
            if not await self._settle(command_id, kept):
                return
            self._heard[command_id] = None

    async def settle(self, detail: str = "") -> None:
        """The bot has gone, as it was asked to; what still waits will not be done."""
        while self._ending:
            await self._settle(self._ending.pop().id, Answer(Outcome.DONE, detail))
        if self._stale.is_set():
            return
        await self._tell()
        while self._waiting:
            command = self._waiting.popleft()
            outcome = Outcome.UNKNOWN if command.id in self._begun else Outcome.REFUSED
            await self._settle(command.id, Answer(outcome, detail))

    async def _take(self, command: Command) -> None:
        if command.verb in ENDING_VERBS:
            self._ending.append(command)
            self.asked_to_go.set()
        elif command.id in self._heard:
            kept = self._heard[command.id]
            if kept is not None and await self._settle(command.id, kept):
                self._heard[command.id] = None
        elif len(self._waiting) >= MAX_WAITING:
            words = f"{MAX_WAITING} commands are waiting already; try again when they are done."
            await self._settle(command.id, Answer(Outcome.REFUSED, words))
        else:
            self._remember(command)
            self._waiting.append(command)
            self._more.set()

    def _remember(self, command: Command) -> None:
        self._heard[command.id] = None
        if len(self._heard) > MAX_REMEMBERED:
            self._heard.popitem(last=False)

    async def _settle(self, command_id: str, answer: Answer) -> bool:
        try:
            async with asyncio.timeout(SETTLE_TIMEOUT_SECONDS):
                await self._channel.settle(command_id, answer.outcome, answer.detail, answer.result)
        except (MeetbotError, TimeoutError) as error:
            # The command stays open; whoever reads it sees that the bot has left.
            log.warning("The answer to %s could not be told: %s", command_id, error)
            return False
        return True
