"""What only Google Meet has: its own end of a wait, its wall, and questions for people (PL-21)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.platforms.observations import Trouble
from core.errors import AuthFailure, LobbyTimeout
from tests.bot.platforms.conftest import Visitor, Visits
from tests.replicas.common.rooms import Scenario
from tests.replicas.platforms import REPLICAS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

(MEET,) = [one for one in REPLICAS if one.slug == "meet"]
DIALOG = """(words) => {
    const dialog = document.createElement('div');
    dialog.setAttribute('role', 'dialog');
    dialog.innerHTML = `<p>${words}</p><button data-mdc-dialog-action="ok">Join now</button>`;
    dialog.querySelector('button').onclick = () => dialog.remove();
    document.body.append(dialog);
}"""
DIALOGS = "document.querySelectorAll('[role=dialog]').length"


async def until(visitor: Visitor, dialogs: int) -> None:
    async with asyncio.timeout(30):
        while await visitor.page.evaluate(DIALOGS) != dialogs:
            await asyncio.sleep(0.05)


async def test_when_nobody_answers_the_wait_was_too_long(visits: Visits) -> None:
    """Meet gives up by itself; that is no refusal."""
    visitor = await visits.make(MEET, Scenario(lobby=True))
    entering = asyncio.create_task(visitor.enter())
    await asyncio.wait_for(visitor.replica.knocked.wait(), 40)
    visitor.replica.show("no_answer")
    with pytest.raises(LobbyTimeout, match="No one responded to your request"):
        await entering


async def test_the_wall_before_guests_is_told_as_it_is(visits: Visits) -> None:
    visitor = await visits.make(MEET, Scenario(screen="blocked"))
    with pytest.raises(AuthFailure, match="You can't join this video call"):
        await visitor.enter()


async def test_a_notice_is_confirmed_and_consent_to_notes_is_left_to_people(
    visits: Visits,
) -> None:
    visitor = await visits.make(MEET, Scenario(notice=True))
    troubles: list[str] = []
    visitor.bridge.on("trouble", Trouble, lambda said: troubles.append(said.detail))
    await visitor.enter()
    await until(visitor, 0)
    asked = "This video call is being recorded. Gemini will take notes for me."
    await visitor.page.evaluate(DIALOG, asked)
    async with asyncio.timeout(30):
        while not troubles:
            await asyncio.sleep(0.05)
    # A notice beside it waits, too: one press could answer both.
    for _ in range(3):
        await visitor.room.look()
    assert await visitor.page.evaluate(DIALOGS) == 1
    assert ["notes by an AI" in one for one in troubles] == [True]


async def test_a_roster_that_only_the_tiles_show_has_the_same_people(visits: Visits) -> None:
    """Whether or not its channel can be read, Meet calls a person by the same id."""
    seen: list[Any] = []
    for api in (True, False):
        visitor = await visits.make(MEET, Scenario(api=api))
        await visitor.enter()
        async with asyncio.timeout(30):
            while len(visitor.observer.roster.others) < 2:
                await asyncio.sleep(0.05)
        others = visitor.observer.roster.others
        seen.append({(one.platform_id, one.display_name, one.is_host) for one in others})
    assert seen[0] == seen[1]
