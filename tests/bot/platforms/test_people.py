"""People of all kinds in a room: what they are called and write is theirs, whatever it says (PL-11,
PL-12, FC-02), and nobody of them costs the others anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bot.platforms.room import View
from bot.platforms.web.anchors import load_anchors
from bot.platforms.web.states import PageState
from tests.bot.platforms.conftest import Visitor, Visits
from tests.replicas.common.rooms import ReplicaRoom, Scenario
from tests.replicas.platforms import REPLICAS, ReplicaPlatform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ALL = pytest.mark.parametrize("platform", REPLICAS, ids=[one.slug for one in REPLICAS])
NAMES = {
    "Ada Park": "Ada Park",
    "x" * 10_000: "x" * 200,
    # Cut where a character is in two halves.
    "y" + "\U0001f4a5" * 5_000: "y" + "\U0001f4a5" * 199,
    "Half \ud83d": "Half \ufffd",
    "\u202eevil\nname\u200b": "evil name",
    "Ann (You)": "Ann",
}
# By words alone, as everything on these pages can be.
POP_UP = """(words) => {
  const place = document.querySelector('#toasts') ?? document.createElement('div');
  place.id = 'toasts';
  place.setAttribute('aria-live', 'assertive');
  document.body.append(place);
  place.replaceChildren(...words.map((text) => {
    const line = document.createElement('p');
    line.append(text);
    return line;
  }));
}"""


def words_of(platform: ReplicaPlatform, state: PageState) -> str:
    return next(
        rule.text[0]
        for rule in load_anchors(platform.slug).rules
        if rule.state is state and rule.text
    )


async def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)


def people(visitor: Visitor) -> list[str]:
    return sorted(one.display_name for one in visitor.observer.roster.others)


@ALL
async def test_names_of_all_kinds_cost_nobody_anything(
    visits: Visits, platform: ReplicaPlatform
) -> None:
    """PL-11, D19: everybody is in the roster, by a name that can be shown."""
    visitor = await visits.make(platform, Scenario(people=tuple(NAMES)))
    await visitor.enter()
    await visitor.room.settle_in()
    await until(lambda: len(people(visitor)) >= len(NAMES))
    # Only pages whose own row is marked in its name take the mark out of others'.
    names = {one.removesuffix(" (You)") for one in people(visitor)}
    assert names == set(NAMES.values())
    assert not visitor.bridge.refused


@ALL
async def test_a_crowd_is_known_by_name(visits: Visits, platform: ReplicaPlatform) -> None:
    """PL-11: three hundred people, two of them of one name."""
    crowd = ("Ada Park", "Ada Park", *(f"Guest {number}" for number in range(298)))
    visitor = await visits.make(platform, Scenario(people=crowd))
    await visitor.enter()
    await visitor.room.settle_in()
    await until(lambda: len(people(visitor)) >= len(crowd))
    assert people(visitor) == sorted(crowd)
    visitor.replica.goes("Guest 7")
    await until(lambda: len(people(visitor)) < len(crowd))
    assert "Guest 7" not in people(visitor)
    assert not visitor.bridge.refused


@ALL
@pytest.mark.parametrize("api", [True, False], ids=["client", "texts"])
async def test_what_people_write_ends_nothing_where_it_pops_up(
    visits: Visits, platform: ReplicaPlatform, api: bool
) -> None:
    """Names and messages are shown, announced and cut short outside of their lists; only the page's
    own words count."""
    removed, ended = (words_of(platform, state) for state in (PageState.REMOVED, PageState.ENDED))
    message = f"So: {ended}, \U0001f600 or so they say, and nobody has told me before"
    visitor = await visits.make(platform, Scenario(people=("Ada Park", removed), api=api))
    await visitor.enter()
    await visitor.room.settle_in()
    visitor.replica.says("Ada Park", message)
    await until(lambda: removed in people(visitor) and bool(visitor.observer._chat_ids))
    shown = message.replace("\U0001f600 ", "")[: len(ended) + 12]
    await visitor.page.evaluate(
        POP_UP,
        [f"{removed} has joined", f"Ada Park: {message}", f"Ada Park says \u201c{shown}\u2026"],
    )
    for _ in range(3):
        assert (await visitor.room.look()).view is View.IN_ROOM
        await asyncio.sleep(0.1)
    visitor.replica.show("ended")
    assert (await visitor.until_over()).view is View.OVER


def whereby() -> ReplicaPlatform:
    return next(one for one in REPLICAS if one.slug == "whereby")


async def test_a_lock_that_is_opened_keeps_nobody_out(visits: Visits) -> None:
    """PL-61: the client is told of the lock, knocks, and is let in."""
    visitor = await visits.make(whereby(), Scenario(lobby=True))
    await visitor.room.open()
    await visitor.page.wait_for_selector("[data-qa='knockBtn']")
    await visitor.page.evaluate("says('room_joined', { error: 'room_locked' })")
    entering = asyncio.create_task(visitor.enter())
    await asyncio.wait_for(visitor.replica.knocked.wait(), 30)
    visitor.replica.admit()
    await entering
    assert (await visitor.room.look()).view is View.IN_ROOM


async def test_who_left_while_the_connection_was_lost_is_gone(visits: Visits) -> None:
    """PL-11, LC-27: Whereby's server tells a client that is back who is there; the bot has another
    id then, and is nobody else."""
    visitor = await visits.make(whereby(), Scenario())
    await visitor.enter()
    await until(lambda: len(people(visitor)) == 2)
    await visitor.page.evaluate(
        """() => {
          const bot = { id: 'me-2', displayName: 'Notes of Ada' };
          const clients = [clientOf(replica.people[0]), bot];
          says('room_joined', { selfId: 'me-2', room: { clients } });
        }"""
    )
    await until(lambda: len(people(visitor)) == 1)
    assert people(visitor) == ["Ada Park"]


async def test_a_message_in_the_jitsi_chat_is_told_once_in_a_flood(visits: Visits) -> None:
    """PL-12."""
    platform = next(one for one in REPLICAS if one.slug == "jitsi")
    visitor = await visits.make(platform, Scenario())
    await visitor.enter()
    room: ReplicaRoom = visitor.replica
    await until(lambda: len(people(visitor)) == 2)
    await visitor.page.evaluate(
        """() => {
          for (let n = 0; n < 7000; n++) {
            replica.on.chat({ id: `m${n}`, from: replica.people[0].id, text: `Message ${n}` });
          }
        }"""
    )
    written: list[str] = []
    visitor.recorder.chat = lambda message: written.append(message.text)  # type: ignore[method-assign]
    room.says("Ada Park", "The last one")
    await until(lambda: "The last one" in written)
    await asyncio.sleep(1.5)
    assert len(written) == len(set(written))
    assert not visitor.bridge.refused
