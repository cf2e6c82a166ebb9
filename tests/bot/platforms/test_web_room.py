"""What a web room makes of what its page says, without a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from bot.browser.bridge import Bridge, PageError
from bot.platforms.driver import DriverContext
from bot.platforms.room import View
from bot.platforms.web import room as web_room
from bot.platforms.web.anchors import load_anchors
from bot.platforms.web.room import WebRoom
from core.errors import MeetingEnded, NetworkLoss
from core.platforms.registry import spec_of
from tests.support.clock import ManualClock

pytestmark = pytest.mark.unit

JITSI = load_anchors("jitsi")
SIGNAL = "error:conference.connectionError.accessDenied"
WORDS = "Your join request was rejected by a moderator."
DENIED = next(number for number, rule in enumerate(JITSI.rules) if SIGNAL in rule.signal)


class Page:
    """Says one thing after another, the last one for good."""

    def __init__(self, *looks: dict[str, Any]) -> None:
        self.looked = 0
        self._looks = looks
        self.bridge = Bridge(ManualClock())
        self.bridge.serve({"web.look": self._look, "web.shape": lambda _: ""})

    def _look(self, _: Mapping[str, Any]) -> dict[str, Any]:
        self.looked += 1
        return self._looks[min(self.looked, len(self._looks)) - 1]


def look(evidence: str, rule: int = DENIED, state: str = "denied") -> dict[str, Any]:
    return {"state": state, "rule": rule, "evidence": evidence, "doc": "d", "pressed": ""}


def room_of(page: Page) -> WebRoom:
    context = DriverContext(
        page=cast("Any", None),
        bridge=page.bridge,
        url="https://meet.jit.si/r",
        trusted_origins=(),
        navigation_timeout_seconds=1,
    )
    return WebRoom(context, spec_of("jitsi"), JITSI)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_room, "WORDS_LOOK_SECONDS", 0.0)


async def test_the_words_of_the_page_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """FC-02: the client names the refusal first; the detail is what a person reads."""
    monkeypatch.setattr(web_room, "WORDS_SECONDS", 60.0)
    page = Page(look(SIGNAL), look(SIGNAL), look("", -1, "unknown"), look(WORDS))
    sight = await room_of(page).look()
    assert sight.view is View.OVER
    assert sight.failure is not None
    assert sight.failure.message == f"Jitsi Meet says: {WORDS}"


async def test_where_no_words_come_the_clients_name_has_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web_room, "WORDS_SECONDS", 0.05)
    sight = await room_of(Page(look(SIGNAL))).look()
    assert sight.failure is not None
    assert SIGNAL in sight.failure.message


async def test_words_that_are_there_are_not_waited_for() -> None:
    page = Page(look(WORDS))
    assert (await room_of(page).look()).failure is not None
    assert page.looked == 1


def number(state: str) -> int:
    return next(place for place, rule in enumerate(JITSI.rules) if rule.state == state)


def shown(state: str, doc: str) -> dict[str, Any]:
    rule = -1 if state == "unknown" else number(state)
    return {**look("words", rule, state), "doc": doc}


@pytest.mark.parametrize("state", ["prejoin", "lobby", "admitted"])
async def test_a_page_that_loads_itself_anew_in_the_call_has_lost_the_room(state: str) -> None:
    """FC-09: the recording of its tab and its tracks went with the old document."""
    page = Page(shown("admitted", "a"), shown("unknown", "b"), shown(state, "b"))
    room = room_of(page)
    assert (await room.look()).view is View.IN_ROOM
    assert (await room.look()).view is View.LOADING
    sight = await room.look()
    assert sight.view is View.OVER
    assert isinstance(sight.failure, NetworkLoss)


async def test_a_new_page_that_tells_of_the_end_is_believed() -> None:
    """Clients lead from the room to a page of thanks."""
    page = Page(shown("admitted", "a"), shown("ended", "b"))
    room = room_of(page)
    assert (await room.look()).view is View.IN_ROOM
    assert isinstance((await room.look()).failure, MeetingEnded)


async def test_a_reload_on_the_way_in_loses_nothing() -> None:
    page = Page(shown("lobby", "a"), shown("admitted", "b"), shown("admitted", "b"))
    room = room_of(page)
    assert (await room.look()).view is View.LOBBY
    assert (await room.look()).view is View.IN_ROOM
    assert (await room.look()).view is View.IN_ROOM


async def test_captions_that_fail_leave_the_panels_to_be_opened() -> None:
    """PL-07: whatever a page's own way to captions throws."""

    def fail(_: Mapping[str, Any]) -> Any:
        raise PageError("toggleSubtitles is broken")

    def press(args: Mapping[str, Any]) -> str:
        pressed.append(args["purpose"])
        return ""

    pressed: list[object] = []
    page = Page(shown("admitted", "a"))
    page.bridge.serve({"web.captions": fail, "web.press": press})
    await room_of(page).settle_in()
    assert pressed == ["people_open", "chat_open"]
