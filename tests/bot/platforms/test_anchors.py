"""The anchors' files: every text of every rule is read as what it means (FC-02, FC-08), and a
mistake in a file is said when it is loaded.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from bot.platforms.room import View
from bot.platforms.web.anchors import ANCHORS_DIR, Anchors, Rule, load_anchors
from bot.platforms.web.states import ERRORS, TERMINAL, VIEWS, PageState
from core.jobs.failures import FailureCode
from tests.bot.platforms.conftest import Visitor, Visits
from tests.replicas.common.rooms import Scenario
from tests.replicas.platforms import REPLICAS, ReplicaPlatform

SLUGS = sorted(path.stem for path in ANCHORS_DIR.glob("*.toml"))
IDS = [platform.slug for platform in REPLICAS]

# Section 4 of the requirements, row by row, as far as a screen says it.
PROMISED = [
    ("whereby", "That room does not exist", FailureCode.MEETING_NOT_FOUND),
    ("whereby", "The meeting has ended", FailureCode.MEETING_ENDED),
    ("whereby", "This room is locked", FailureCode.HOST_DENIED_ADMISSION),
    ("meet", "Check your meeting code", FailureCode.MEETING_NOT_FOUND),
    (
        "meet",
        "Someone in the call denied your request to join",
        FailureCode.HOST_DENIED_ADMISSION,
    ),
    (
        "meet",
        "No one responded to your request to join the call",
        FailureCode.LOBBY_TIMEOUT,
    ),
    ("meet", "You've been removed from the meeting", FailureCode.REMOVED_FROM_MEETING),
    ("meet", "You can't join this video call", FailureCode.AUTH_FAILURE),
    ("jitsi", "Conference connection failed", FailureCode.NETWORK_LOSS),
    ("jitsi", "Moderator denied your request", FailureCode.HOST_DENIED_ADMISSION),
    ("jitsi", "You have been kicked", FailureCode.REMOVED_FROM_MEETING),
]


@pytest.mark.unit
def test_every_state_has_a_view_and_every_end_an_error() -> None:
    assert set(VIEWS) == set(PageState)
    assert set(TERMINAL.values()) <= set(ERRORS)


@pytest.mark.unit
@pytest.mark.parametrize("slug", SLUGS)
def test_every_file_is_valid_and_has_a_replica(slug: str) -> None:
    assert load_anchors(slug).platform == slug
    assert slug in IDS


@pytest.mark.unit
@pytest.mark.parametrize(("slug", "text", "code"), PROMISED)
def test_the_promised_words_have_their_codes(slug: str, text: str, code: FailureCode) -> None:
    codes = {rule.failure for rule in load_anchors(slug).rules if text in rule.text}
    assert codes == {code}


def minimal(**changes: Any) -> dict[str, Any]:
    return {
        "platform": "jitsi",
        "seen": "replica",
        "date": "2026-11-25",
        "captions_missing": "x",
        "rules": [{"state": "admitted", "css": ["#room"]}],
        **changes,
    }


@pytest.mark.unit
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"rules": []}, "how the bot knows that it is in the room"),
        (
            {
                "rules": [
                    {"state": "lobby", "text": ["Please wait"]},
                    {"state": "denied", "text": ["Denied"]},
                    {"state": "admitted", "css": ["#room"]},
                ]
            },
            "comes after lobby",
        ),
        ({"rules": [{"state": "admitted"}]}, "at least one of"),
        (
            {"rules": [{"state": "admitted", "css": ["#a"], "code": "network_loss"}]},
            "has no code",
        ),
        ({"notices": [{"text": ["Being recorded"]}]}, "how the notice is dismissed"),
        ({"anchors": {"jion": ["#join"]}}, "jion"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(complaint)):
        Anchors.model_validate(minimal(**changes))


async def shows(visitor: Visitor, rule: Rule, text: str) -> Any:
    """The text alone on a page, where the rule looks for it."""
    inner = f"<p>{html.escape(text)}</p>"
    if rule.within:
        # The last simple selector of the first place: `[role='dialog']`, `.class` or `#id`.
        place = rule.within[0].split()[-1]
        name = place.lstrip(".#[").rstrip("]").replace("=", " ").replace("'", "")
        attribute = {".": "class", "#": "id"}.get(place[0])
        key, _, value = (attribute, "", name) if attribute else name.partition(" ")
        inner = f'<div {key}="{value}">{inner}</div>'
    await visitor.page.evaluate("(inner) => { document.body.innerHTML = inner; }", inner)
    return await visitor.room.look()


@pytest.mark.browser
@pytest.mark.timeout(120)
@pytest.mark.parametrize("platform", REPLICAS, ids=IDS)
async def test_every_text_is_read_as_what_it_means(
    visits: Visits, platform: ReplicaPlatform
) -> None:
    """With straight and with typographic apostrophes; ends carry the words as evidence."""
    visitor = await visits.make(platform, Scenario(screen="unknown", api=False))
    await visitor.room.open()
    checked = 0
    for rule in load_anchors(platform.slug).rules:
        if rule.state is PageState.PASSCODE_REQUIRED:
            continue
        for text in rule.text:
            for said in {text, text.replace("'", "’"), text.upper()}:
                sight = await shows(visitor, rule, said)
                assert sight.view is VIEWS[rule.state], (rule.state, said)
                assert sight.evidence == said
                checked += 1
                if sight.view is View.OVER:
                    assert sight.failure.failure is rule.failure
                    assert said in sight.failure.message
    assert checked >= 20


# How pages write the same words: spaces that do not break, marks in them that are not seen, any
# apostrophe, and what frameworks make of brackets.
SPELLINGS: list[Callable[[str], str]] = [
    lambda text: text.replace(" ", "\u00a0"),
    lambda text: text.replace(" ", " \u200b").replace("ee", "e\u00ade"),
    lambda text: text.replace("'", "\u2032").replace("...", "\u2026"),
    lambda text: text.replace("'", "\uff07").title(),
]


@pytest.mark.browser
@pytest.mark.timeout(120)
@pytest.mark.parametrize("platform", REPLICAS, ids=IDS)
async def test_spelling_changes_no_meaning(visits: Visits, platform: ReplicaPlatform) -> None:
    """FC-08."""
    visitor = await visits.make(platform, Scenario(screen="unknown", api=False))
    await visitor.room.open()
    for rule in load_anchors(platform.slug).rules:
        if rule.state is PageState.PASSCODE_REQUIRED:
            continue
        for text in rule.text:
            for spelled in {spell(text) for spell in SPELLINGS} - {text}:
                sight = await shows(visitor, rule, spelled)
                assert sight.view is VIEWS[rule.state], (rule.state, spelled)


@pytest.mark.browser
async def test_a_code_that_the_page_writes_in_parts_is_read(visits: Visits) -> None:
    """FC-08: React puts a value and the text around it side by side."""
    zoom = next(platform for platform in REPLICAS if platform.slug == "zoom")
    visitor = await visits.make(zoom, Scenario(screen="unknown", api=False))
    await visitor.room.open()
    await visitor.page.evaluate(
        """() => {
          const line = document.createElement('p');
          line.append('Joining failed (', '3,', '009', ')');
          document.body.replaceChildren(line);
        }"""
    )
    failure = (await visitor.room.look()).failure
    assert failure is not None
    assert failure.failure is FailureCode.REMOVED_FROM_MEETING


@pytest.mark.browser
@pytest.mark.parametrize(
    ("slug", "text"),
    [
        ("zoom", "Ada Park has been removed from the meeting"),
        ("zoom", "Ada Park was removed from the meeting by the host"),
        ("teams", "Ada Park was removed from the meeting"),
    ],
)
async def test_somebody_elses_removal_is_not_the_bots(visits: Visits, slug: str, text: str) -> None:
    platform = next(platform for platform in REPLICAS if platform.slug == slug)
    visitor = await visits.make(platform, Scenario(screen="unknown", api=False))
    await visitor.room.open()
    rule = load_anchors(slug).rules[0]
    assert (await shows(visitor, rule, text)).view is View.LOADING


@pytest.mark.browser
@pytest.mark.timeout(120)
@pytest.mark.parametrize("platform", REPLICAS, ids=IDS)
async def test_what_people_write_ends_nothing(visits: Visits, platform: ReplicaPlatform) -> None:
    """Chat and names hold any words; the bot stays."""
    words = next(
        rule.text[0]
        for rule in load_anchors(platform.slug).rules
        if rule.state is PageState.REMOVED
    )
    people = ("Ada Park", words)
    visitor = await visits.make(platform, Scenario(people=people, api=False))
    await visitor.enter()
    await visitor.room.settle_in()
    visitor.replica.says("Ada Park", words)
    async with asyncio.timeout(30):
        # The client may be in a frame.
        while not sum([await one.get_by_text(words).count() for one in visitor.page.frames]) > 1:
            await asyncio.sleep(0.05)
    for _ in range(3):
        assert (await visitor.room.look()).view is View.IN_ROOM
