"""Asking a room whether it may be recorded, and understanding what it answers (PL-20)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from bot.competing import Notetakers
from bot.control import ConsentAnswered
from core.clock import Clock
from core.recordings.recording import ChatMessage, Participant

WATCH_SECONDS: Final = 600.0
# Some rooms tell the minute of a message only.
_ROUNDED: Final = timedelta(seconds=60)
# English, German, Spanish, French; accents and case are taken away before.
_YES: Final = re.compile(
    r"yes|yeah|yep|sure|ok|okay|agreed|ja|klar|gerne|einverstanden|si|vale|claro|oui|accord"
)
_NO: Final = re.compile(r"no|nope|not|don't|dont|nein|nicht|nee|non|pas|disagree")
# What says no and means yes.
_NO_OBJECTION: Final = re.compile(
    r"\b(?:no|kein|keine|pas de|sin|ningun) (?:problem|problema|probleme|worries|objections?)\b"
)
_WORD: Final = re.compile(r"[\w']+")
# An answer begins with its yes or no; further on the words are about something else.
_ANSWER_WORDS: Final = 3


def read_answer(text: str) -> bool | None:
    """What a message says to "May I record?": True, False, or None when it is no clear answer.

    Whole words only, among the first three; a question answers nothing, and neither does a
    message that says both.
    """
    plain = unicodedata.normalize("NFKD", text.casefold().replace("’", "'"))
    plain = "".join(char for char in plain if not unicodedata.combining(char)).strip()
    if plain.endswith("?"):
        return None
    plain = _NO_OBJECTION.sub("yes", plain)
    words = _WORD.findall(plain)[:_ANSWER_WORDS]
    yes, no = any(map(_YES.fullmatch, words)), any(map(_NO.fullmatch, words))
    return None if yes == no else yes


class ConsentWatch:
    """Listens to the chat for the first answer of a person; at most `WATCH_SECONDS` long."""

    def __init__(
        self, clock: Clock, answered: Callable[[ConsentAnswered], None], notetakers: Notetakers
    ) -> None:
        self._clock = clock
        self._notetakers = notetakers
        self._answered = answered
        self._question: str | None = None
        self._until = 0.0
        self._asked_at: datetime | None = None

    def ask(self, question: str) -> None:
        """The question is being posted now; an earlier one is no longer waited for."""
        self._question = question.strip()
        self._asked_at = self._clock.now()
        self._until = self._clock.monotonic() + WATCH_SECONDS

    def forget(self) -> None:
        """The question could not be posted."""
        self._question = None

    def hear(self, message: ChatMessage, author: Participant | None) -> None:
        """A message of the chat; `author` is None when nobody of the roster wrote it."""
        if self._question is None or self._asked_at is None or self._is_ours(message, author):
            return
        if self._clock.monotonic() > self._until:
            self._question = None
            return
        granted = read_answer(message.text)
        if granted is None or message.at < self._asked_at - _ROUNDED:
            return
        self._question = None
        self._answered(
            ConsentAnswered(
                at=message.at,
                granted=granted,
                participant_id=author.id if author else None,
                display_name=message.display_name,
            )
        )

    def _is_ours(self, message: ChatMessage, author: Participant | None) -> bool:
        """Written by a bot: by this one, or by another company's."""
        if message.text.strip() == self._question or (author is not None and author.is_bot):
            return True
        return self._notetakers.name_of(message.display_name) is not None
