"""What only Google Meet has: its own end of a wait, its wall, and questions for people (PL-21)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from bot.platforms.observations import CaptionSeen, OwnerSeen, RosterSeen, SourceSeen, Trouble
from core.errors import AuthFailure, LobbyTimeout
from tests.bot.platforms.conftest import Visitor, Visits
from tests.replicas.common.rooms import Scenario
from tests.replicas.meet import wire
from tests.replicas.meet.wire import Somebody
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


# A server in the page itself: a picture in a stream of that name, and what channels say.
SERVE = """async ([stream, said]) => {
    const [server, client] = [new RTCPeerConnection(), new RTCPeerConnection()];
    server.onicecandidate = ({ candidate }) => client.addIceCandidate(candidate);
    client.onicecandidate = ({ candidate }) => server.addIceCandidate(candidate);
    const channels = Object.keys(said).map((label) => server.createDataChannel(label));
    const canvas = document.createElement('canvas');
    canvas.getContext('2d').fillRect(0, 0, 10, 10);
    const media = canvas.captureStream(5);
    for (const track of media.getTracks()) server.addTrack(track, media);
    await server.setLocalDescription();
    const sdp = server.localDescription.sdp.replaceAll(media.id, stream);
    await client.setRemoteDescription({ type: 'offer', sdp });
    await client.setLocalDescription();
    await server.setRemoteDescription(client.localDescription);
    for (const channel of channels) {
        if (channel.readyState !== 'open') await new Promise((open) => (channel.onopen = open));
        for (const one of said[channel.label]) {
            channel.send(Uint8Array.from(atob(one), (char) => char.charCodeAt(0)));
        }
    }
}"""


class Told:
    """What the page told of a room, by kind; `until` waits for it."""

    def __init__(self, visitor: Visitor) -> None:
        self.troubles: list[Trouble] = []
        self.owners: list[OwnerSeen] = []
        self.sources: list[SourceSeen] = []
        self.captions: list[CaptionSeen] = []
        self.rosters: list[RosterSeen] = []
        visitor.bridge.on("trouble", Trouble, self.troubles.append)
        visitor.bridge.on("owner", OwnerSeen, self.owners.append)
        visitor.bridge.on("source", SourceSeen, self.sources.append)
        visitor.bridge.on("caption", CaptionSeen, self.captions.append)
        visitor.bridge.on("roster", RosterSeen, self.rosters.append)


async def serve(visitor: Visitor, stream: str, **said: list[bytes]) -> None:
    texts = {
        label: [base64.b64encode(one).decode() for one in them] for label, them in said.items()
    }
    await visitor.page.evaluate(SERVE, [stream, texts])


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.05)


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


ADA, BEN = Somebody("a1", "Ada Park", host=True), Somebody("b2", "Ben Okafor")
SCREEN = Somebody("s3", "Ada Park", parent="a1")


async def test_a_shared_screen_is_its_owners_and_no_participant(visits: Visits) -> None:
    visitor = await visits.make(MEET, Scenario(people=(), api=False))
    told = Told(visitor)
    await visitor.enter()
    people = wire.roster_event([ADA, BEN, SCREEN])
    await serve(
        visitor, "9700001", collections=[people, wire.outputs_event([("s3", 700001, True)])]
    )
    await eventually(lambda: told.owners)
    (owner,) = told.owners
    assert (owner.platform_id, owner.source) == ("a1", "screen")
    there = {
        one.platform_id: (one.display_name, one.is_host) for one in told.rosters[-1].participants
    }
    assert there == {
        "a1": ("Ada Park", True),
        "b2": ("Ben Okafor", False),
        "me": ("Notes of Ada", False),
    }
    assert told.sources == [], "its sound is nobody's voice"


async def test_what_channels_say_is_taken_in_its_order_and_nonsense_is_passed_over(
    visits: Visits,
) -> None:
    visitor = await visits.make(MEET, Scenario(people=(), api=False))
    told = Told(visitor)
    await visitor.enter()
    gone = Somebody("b2", "Ben Okafor", status=wire.LEFT)
    await serve(
        visitor,
        "1",
        collections=[
            b"\x78 is no zlib",
            b"\x0a\x7f",
            wire.roster_event([ADA, BEN]),
            wire.roster_event([gone]),
            wire.outputs_event([("a1", 2**32, False), ("a1", 700002, False)]),
        ],
        captions=[
            wire.caption_event("a1", 5, 2, "Good morning", final=False),
            wire.caption_event("a1", 5, 1, "Good", final=False),
            wire.caption_event("a1", 6, 1, "Shall we", final=False),
        ],
    )
    await eventually(lambda: told.sources and len(told.captions) >= 2)
    assert len(told.troubles) == 1, "said once"
    assert {one.platform_id for one in told.rosters[-1].participants} == {"a1", "me"}
    # A number that no header can hold is no source.
    assert [one.csrc for one in told.sources] == [700002]
    last = {one.text: (one.platform_id, one.display_name, one.final) for one in told.captions}
    assert last == {
        "Good morning": ("a1", "Ada Park", True),
        "Shall we": ("a1", "Ada Park", False),
    }
