"""What a customer wants to be told of a room: answers to a question, and other bots."""

from __future__ import annotations

from collections.abc import Callable

from bot.competing import Notetakers
from bot.consent import ConsentWatch
from bot.control import CompetingBotSeen, ConsentAnswered
from core.clock import Clock
from core.recordings.recording import ChatMessage, Participant


class RoomNews:
    """Lives as long as the session. `leaving`: the bot goes when another one is there (PL-14)."""

    def __init__(
        self,
        clock: Clock,
        tell: Callable[[ConsentAnswered | CompetingBotSeen], None],
        notetakers: Notetakers,
        *,
        leaving: bool,
    ) -> None:
        self.notetakers = notetakers
        self.consent = ConsentWatch(clock, tell, notetakers)
        self._clock = clock
        self._tell = tell
        self._leaving = leaving
        self._bots: set[str] = set()

    def joined(self, participant: Participant) -> None:
        """Somebody came in, or came back: a notetaker is told once (LC-30)."""
        bot = self.notetakers.name_of(participant.display_name)
        if bot is None or participant.is_bot or participant.id in self._bots:
            return
        self._bots.add(participant.id)
        self._tell(
            CompetingBotSeen(
                at=self._clock.now(),
                participant_id=participant.id,
                display_name=participant.display_name,
                bot_name=bot,
                leaving=self._leaving,
            )
        )

    def said(self, message: ChatMessage, author: Participant | None) -> None:
        """A message of the meeting's chat."""
        self.consent.hear(message, author)
