"""PL-20: what a room answers when it is asked whether it may be recorded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.competing import Notetakers
from bot.consent import WATCH_SECONDS, ConsentWatch, read_answer
from bot.control import ConsentAnswered
from core.recordings.recording import ChatMessage, Participant
from tests.support.clock import ManualClock

pytestmark = pytest.mark.unit

ADA = Participant("prt_ada", "p1", "Ada Park", "A")
BOT = Participant("prt_bot", "p0", "meetbot", "", is_bot=True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("yes", True),
        ("Yes!", True),
        ("Yes, of course", True),
        ("@meetbot YES", True),
        ("ok", True),
        ("No problem", True),
        ("Ja, gerne", True),
        ("Kein Problem", True),
        ("Sí", True),
        ("oui oui", True),
        ("no", False),
        ("No, thanks", False),
        ("please don’t", False),
        ("Nein, bitte nicht", False),
        ("non merci", False),
        ("", None),
        ("Yesterday was fine", None),
        ("I know him", None),
        ("Nobody said so", None),
        ("yes and no", None),
        ("Yes?", None),
        ("Did you say yes?", None),
        ("The budget is done, no news", None),
        ("👍", None),
    ],
)
def test_an_answer_is_a_whole_word_near_the_beginning(text: str, answer: bool | None) -> None:
    assert read_answer(text) is answer


class Room:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.answers: list[ConsentAnswered] = []
        self.watch = ConsentWatch(self.clock, self.answers.append, Notetakers())

    def say(self, text: str, author: Participant | None = ADA, name: str | None = None) -> None:
        said_by = name or (author.display_name if author else "Somebody")
        message = ChatMessage(self.clock.now(), author.id if author else None, said_by, text)
        self.watch.hear(message, author)


def test_the_first_answer_of_a_person_counts() -> None:
    room = Room()
    room.say("yes")
    room.watch.ask("May I record? Answer yes or no.")
    room.say("May I record? Answer yes or no.", None)
    room.say("yes", BOT)
    room.say("yes", Participant("prt_x", "p9", "Otter.ai", "B"))
    room.say("What for?")
    assert room.answers == []
    room.clock.advance(30)
    room.say("No, sorry")
    room.say("yes")
    assert room.answers == [ConsentAnswered(room.clock.now(), False, "prt_ada", "Ada Park")]


def test_somebody_whom_the_roster_lacks_may_answer() -> None:
    """A name without an id: some rooms show chat of people who are gone already."""
    room = Room()
    room.watch.ask("May I record?")
    room.say("Yes", None, "Guest")
    assert [(one.participant_id, one.display_name) for one in room.answers] == [(None, "Guest")]


def test_the_question_stands_for_ten_minutes() -> None:
    room = Room()
    room.watch.ask("May I record?")
    room.clock.advance(WATCH_SECONDS - 1)
    room.say("Hm.")
    room.clock.advance(2)
    room.say("yes")
    assert room.answers == []


def test_a_new_question_replaces_the_old_one_and_old_messages_answer_nothing() -> None:
    room = Room()
    room.watch.ask("May I record?")
    room.watch.ask("May I record now?")
    old = ChatMessage(room.clock.now() - timedelta(minutes=5), "prt_ada", "Ada Park", "yes")
    room.watch.hear(old, ADA)
    assert room.answers == []
    room.say("yes")
    assert len(room.answers) == 1


def test_a_question_that_was_not_posted_is_not_answered() -> None:
    room = Room()
    room.watch.ask("May I record?")
    room.watch.forget()
    room.say("yes")
    assert room.answers == []
