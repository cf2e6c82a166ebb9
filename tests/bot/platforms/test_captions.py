"""Captions on Jitsi: by the client itself, by its menu, or not at all (PL-45)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.bot.platforms.conftest import Visitor, Visits
from tests.replicas.common.rooms import Scenario
from tests.replicas.platforms import REPLICAS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

(JITSI,) = [one for one in REPLICAS if one.slug == "jitsi"]
# A build of the client that has the verb, and one whose button is in the menu.
WITH_VERB = (
    "() => { APP.UI.toggleSubtitles = () => replica.send({type: 'captions', by: 'client'}) }"
)
IN_MENU = """() => {
  document.querySelector("[aria-label='Toggle subtitles']").remove();
  const by = () => replica.send({type: 'captions', by: 'menu'});
  const item = element('button', {onclick: by}, 'Subtitles');
  const open = () => document.body.append(item);
  document.body.append(element('button', {'aria-label': 'More actions', onclick: open}));
}"""


async def asked(visitor: Visitor) -> list[dict[str, Any]]:
    """What the client was asked about captions while the bot settled in."""
    await visitor.room.settle_in()
    # Messages come in order: whatever was asked before the chat is there with it.
    await visitor.room.send_chat("Here I am")
    guest = visitor.replica.guest
    assert guest is not None
    async with asyncio.timeout(20):
        while not visitor.replica.chat:
            await asyncio.sleep(0.02)
    return [one for one in guest.heard if one["type"] == "captions"]


@pytest.mark.parametrize(("build", "by"), [(WITH_VERB, "client"), (IN_MENU, "menu")])
async def test_captions_are_switched_on_by_the_client_or_in_its_menu(
    visits: Visits, build: str, by: str
) -> None:
    visitor = await visits.make(JITSI, Scenario())
    await visitor.enter()
    await visitor.page.evaluate(build)
    assert [one["by"] for one in await asked(visitor)] == [by]


async def test_a_server_without_captions_is_no_trouble(visits: Visits) -> None:
    visitor = await visits.make(JITSI, Scenario(captions=False))
    await visitor.enter()
    assert await asked(visitor) == []
