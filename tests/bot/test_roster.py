"""The page's claims about people become participants of ours (PL-11, PL-13, LC-27, D19)."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from bot.competing import Notetakers
from bot.platforms.observations import ParticipantSeen, RosterSeen
from bot.roster import MAX_NAME_LENGTH, Roster, clean_name
from core.ids import ULID_PATTERN
from core.settings import BotSettings

pytestmark = pytest.mark.unit


def snapshot(*people: tuple[str, str], host: str = "", bot: str = "bot") -> RosterSeen:
    return RosterSeen(
        participants=[
            ParticipantSeen(
                platform_id=key, display_name=name, is_self=key == bot, is_host=key == host
            )
            for key, name in people
        ]
    )


def test_participants_get_our_ids_and_labels_in_order_of_appearance() -> None:
    roster = Roster()
    joined = roster.update(snapshot(("bot", "meetbot"), ("x", "Ada"), ("y", "Ben"))).joined
    assert [(one.display_name, one.speaker_label, one.is_bot) for one in joined] == [
        ("meetbot", "", True),
        ("Ada", "A", False),
        ("Ben", "B", False),
    ]
    assert all(re.fullmatch(f"prt_{ULID_PATTERN}", one.id) for one in joined)
    assert len({one.id for one in joined}) == 3


def test_who_comes_back_is_the_same_participant() -> None:
    roster = Roster()
    (ada,) = roster.update(snapshot(("x", "Ada"))).joined
    assert roster.update(snapshot()).left == (ada.id,)
    (again,) = roster.update(snapshot(("x", "Ada"))).joined
    assert (again.id, again.speaker_label) == (ada.id, "A")


def test_a_snapshot_without_news_changes_nothing() -> None:
    roster = Roster()
    roster.update(snapshot(("x", "Ada")))
    change = roster.update(snapshot(("x", "Ada")))
    assert (change.joined, change.left) == ((), ())


def test_the_bot_and_other_bots_are_no_humans() -> None:
    roster = Roster()
    roster.update(snapshot(("bot", "meetbot"), ("o", "Otter.ai")))
    assert roster.competing_bot
    assert not any(roster.humans)
    roster.update(snapshot(("bot", "meetbot"), ("x", "Ada"), host="x"))
    assert [one.display_name for one in roster.humans] == ["Ada"]
    assert roster.host_present


@pytest.mark.parametrize("claim", ["../../etc/passwd", "/", "a\x00b", "..\\..", "p" * 300, "💥"])
def test_platform_ids_stay_claims(claim: str) -> None:
    roster = Roster()
    (one,) = roster.update(snapshot((claim, claim))).joined
    assert one.platform_id == claim
    assert re.fullmatch(f"prt_{ULID_PATTERN}", one.id)
    assert "\x00" not in one.display_name


def test_claims_beyond_the_bounds_are_refused() -> None:
    with pytest.raises(ValidationError):
        ParticipantSeen(platform_id="x" * 301, display_name="")
    with pytest.raises(ValidationError):
        ParticipantSeen(platform_id="", display_name="")
    one = ParticipantSeen(platform_id="x", display_name="")
    with pytest.raises(ValidationError):
        RosterSeen(participants=[one] * 2001)


def test_a_page_cannot_invent_participants_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.roster.MAX_PARTICIPANTS", 2)
    roster = Roster()
    joined = roster.update(snapshot(("x", "Ada"), ("y", "Ben"), ("z", "Cleo"))).joined
    assert [one.platform_id for one in joined] == ["x", "y"]
    assert roster.update(snapshot(("z", "Cleo"))).left == tuple(one.id for one in joined)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  Ada \n Park\t", "Ada Park"),
        ("Ada\x00\x1b[31mPark", "Ada[31mPark"),
        ("\u202egpj.exe", "gpj.exe"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("x" * 500, "x" * MAX_NAME_LENGTH),
        ("\u200b", ""),
    ],
)
def test_names_are_one_clean_line(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


def test_somebody_without_a_name_is_still_told_apart() -> None:
    (one,) = Roster().update(snapshot(("x", " "))).joined
    assert one.display_name == "Participant A"


def test_names_that_come_late_or_change_are_those_of_now() -> None:
    """PL-11: clients show people before their names; the participant stays the same."""
    roster = Roster()
    (one,) = roster.update(snapshot(("x", ""))).joined
    change = roster.update(snapshot(("x", "Ada")))
    assert (change.joined, change.left) == ((), ())
    assert [(ada.id, ada.display_name) for ada in change.changed] == [(one.id, "Ada")]
    assert roster.update(snapshot(("x", "Ada"))).changed == ()
    # A client that forgets a name has not renamed anybody.
    assert roster.update(snapshot(("x", " "))).changed == ()
    (ada,) = roster.update(snapshot(("x", "Ada Park"), host="x")).changed
    assert (ada.id, ada.display_name, ada.is_host) == (one.id, "Ada Park", True)
    assert roster.called("ada park") == (ada,)


def test_a_bot_that_is_recognised_late_is_no_human() -> None:
    """LC-27: it would never be alone."""
    roster = Roster()
    roster.update(snapshot(("me", "meetbot")))
    assert roster.humans
    (bot,) = roster.update(snapshot(("me", "meetbot"), bot="me")).changed
    assert bot.is_bot
    assert not roster.humans
    assert not roster.met_others


@pytest.mark.parametrize("first", ["me", "x"])
def test_who_is_called_as_if_the_page_meant_the_bot_is_a_human_all_the_same(first: str) -> None:
    """PL-11: "Ann (You)" is a name that anybody can take."""
    roster = Roster(bot_name="meetbot")
    people = {
        key: ParticipantSeen(platform_id=key, display_name=name, is_self=True)
        for key, name in (("me", "meetbot"), ("x", "Ann"))
    }
    roster.update(RosterSeen(participants=[people[first]]))
    roster.update(RosterSeen(participants=[people["x"], people["me"]]))
    assert [one.display_name for one in roster.humans] == ["Ann"]
    assert [one.speaker_label for one in roster.humans] == ["A"]
    me = roster.find("me")
    assert me is not None
    assert me.is_bot


def test_somebody_with_the_bots_name_is_a_human() -> None:
    roster = Roster(bot_name="meetbot")
    roster.update(snapshot(("bot", "meetbot"), ("x", "meetbot")))
    assert [one.platform_id for one in roster.humans] == ["x"]


@pytest.mark.parametrize(
    ("name", "bot"),
    [
        ("Otter.ai", True),
        ("Ada's OtterPilot", True),
        ("Fireflies.ai Notetaker", True),
        ("FIREFLIES.AI Notetaker Ben", True),
        ("Read Assistant", True),
        ("read.ai meeting notes", True),
        ("Oliver Otterman", False),
        ("Ada Read", False),
        ("Reader", False),
        ("meetbot", False),
    ],
)
def test_competing_notetakers_are_known_by_name(name: str, bot: bool) -> None:
    assert (Notetakers().name_of(name) is not None) is bot


def test_the_operator_may_name_more_notetakers() -> None:
    """PL-13: whole words, in any letter case."""
    notetakers = Notetakers(("Gong", "tl;dv", " "))
    assert notetakers.name_of("GONG recorder") == "Gong"
    assert notetakers.name_of("tl;dv") == "tl;dv"
    assert notetakers.name_of("Gonggong") is None
    assert notetakers.name_of("Otter.ai") == "Otter"
    assert not Roster(notetakers).humans


def test_notetakers_survive_the_environment_of_a_child() -> None:
    """PL-13: names in an environment variable, or none."""
    assert BotSettings.model_validate({"competing_bots": ""}).competing_bots == ()
    names = BotSettings.model_validate({"competing_bots": "Gong, tl;dv"}).competing_bots
    assert names == ("Gong", "tl;dv")
