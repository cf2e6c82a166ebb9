"""The protocol of the room's WebSocket, spoken by a client that is not our page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sandbox.client import SandboxClient
from sandbox.schemas import HostAction, RoomCreated, RoomOptions
from tests.support.sandbox import SandboxServer

pytestmark = pytest.mark.integration

EMPTY = RoomOptions(script=None)


class Talker:
    """One WebSocket in a room."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next message of this type; others in between are passed over."""
        async with asyncio.timeout(5):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["type"] == kind:
                    return message

    async def closed(self) -> int | None:
        """Read until the server hangs up; the close code."""
        try:
            async with asyncio.timeout(5):
                while True:
                    await self.socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


class Doorstep:
    def __init__(self, server: SandboxServer) -> None:
        self.address = server.origin.replace("http", "ws", 1)

    @asynccontextmanager
    async def knock(self, room_id: str, origin: str | None = None) -> AsyncIterator[Talker]:
        headers = {"Origin": origin} if origin else {}
        url = f"{self.address}/ws/{room_id}"
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            yield Talker(socket)

    @asynccontextmanager
    async def join(
        self, room: RoomCreated, name: str, *, host: bool = False
    ) -> AsyncIterator[Talker]:
        token = room.host_token if host else room.guest_token
        async with self.knock(room.room_id) as talker:
            await talker.send(type="join", token=token.get_secret_value(), displayName=name)
            yield talker


@pytest.fixture
def door(sandbox_server: SandboxServer) -> Doorstep:
    return Doorstep(sandbox_server)


async def test_a_full_room_turns_people_away(client: SandboxClient, door: Doorstep) -> None:
    room = await client.create_room(RoomOptions(script=None, max_guests=1))
    async with door.join(room, "First") as first, door.join(room, "Second") as second:
        await first.hear("welcome")
        assert (await second.hear("over"))["reason"] == "full"
        assert await second.closed() == 1000


async def test_signals_carry_the_id_of_who_really_sent_them(
    client: SandboxClient, door: Doorstep
) -> None:
    room = await client.create_room(EMPTY)
    async with door.join(room, "One") as one, door.join(room, "Two") as two:
        first = (await one.hear("welcome"))["participantId"]
        second = (await two.hear("welcome"))["participantId"]
        await one.send(type="signal", peer=second, candidate={"candidate": "x"})
        heard = await two.hear("signal")
        assert heard["peer"] == first
        assert heard["candidate"] == {"candidate": "x"}


async def test_somebody_in_the_lobby_hears_nothing_of_the_room(
    client: SandboxClient, door: Doorstep
) -> None:
    room = await client.create_room(RoomOptions(script=None, lobby=True))
    async with (
        door.join(room, "Host", host=True) as host,
        door.join(room, "Guest") as guest,
    ):
        await host.hear("welcome")
        await guest.hear("lobby")
        await guest.send(type="chat", text="let me in")
        await host.send(type="chat", text="secret")
        assert (await host.hear("chat"))["message"]["text"] == "secret"
        assert (await client.room(room.room_id)).lobby[0].display_name == "Guest"
        await client.host(room.room_id, HostAction.DENY)
        async with asyncio.timeout(5):
            kinds = {json.loads(text)["type"] async for text in guest.socket}
        assert kinds <= {"beat", "over"}


async def test_guests_cannot_do_what_hosts_do(client: SandboxClient, door: Doorstep) -> None:
    room = await client.create_room(EMPTY)
    async with door.join(room, "Guest") as guest:
        await guest.hear("welcome")
        await guest.send(type="host", action="end")
        await guest.send(type="chat", text="still here")
        assert (await guest.hear("chat"))["message"]["text"] == "still here"


async def test_names_are_made_readable(client: SandboxClient, door: Doorstep) -> None:
    room = await client.create_room(EMPTY)
    async with door.join(room, " A\u202e\n  B\x00 ") as one, door.join(room, "\u200b") as two:
        assert (await one.hear("welcome"))["participants"][0]["displayName"] == "A B"
        assert (await two.hear("welcome"))["participants"][1]["displayName"] == "Guest"


async def test_another_sites_page_may_not_connect(client: SandboxClient, door: Doorstep) -> None:
    room = await client.create_room(EMPTY)
    with pytest.raises(InvalidStatus) as refused:
        async with door.knock(room.room_id, origin="https://evil.example"):
            pytest.fail("the connection was accepted")
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "first", ["hello", '{"type": "chat", "text": "x"}', '{"type": "join", "token": "x"}']
)
async def test_who_does_not_begin_with_join_is_disconnected(
    client: SandboxClient, door: Doorstep, first: str
) -> None:
    room = await client.create_room(EMPTY)
    async with door.knock(room.room_id) as talker:
        await talker.socket.send(first)
        assert await talker.closed() == 1008


@pytest.mark.parametrize("wrong", ["token", "room"])
async def test_wrong_doors_are_not_found(client: SandboxClient, door: Doorstep, wrong: str) -> None:
    room = await client.create_room(EMPTY)
    token = room.guest_token.get_secret_value()
    async with door.knock("0123456789" if wrong == "room" else room.room_id) as talker:
        await talker.send(
            type="join", token="wrong" if wrong == "token" else token, displayName="X"
        )
        assert (await talker.hear("over"))["reason"] == "not-found"


@pytest.mark.parametrize("nonsense", ["{", '{"type": "dance"}', '{"type": "chat", "text": ""}'])
async def test_nonsense_ends_the_visit(
    client: SandboxClient, door: Doorstep, nonsense: str
) -> None:
    room = await client.create_room(EMPTY)
    async with door.join(room, "Guest") as guest:
        await guest.hear("welcome")
        await guest.socket.send(nonsense)
        await guest.closed()
    assert (await client.room(room.room_id)).participants == ()


async def test_a_flood_of_messages_ends_the_visit(client: SandboxClient, door: Doorstep) -> None:
    room = await client.create_room(EMPTY)
    async with door.join(room, "Guest") as guest:
        await guest.hear("welcome")
        with suppress(ConnectionClosed):
            for _ in range(5_000):
                await guest.send(type="incoming-video", on=True)
        assert await guest.closed() == 1000
    assert (await client.room(room.room_id)).participants == ()


async def test_scripted_peers_can_be_muted_and_removed(
    client: SandboxClient, door: Doorstep
) -> None:
    room = await client.create_room()
    async with door.join(room, "Guest") as guest:
        people = (await guest.hear("welcome"))["participants"]
        ada, ben = (person["participantId"] for person in people[:2])
        await client.host(room.room_id, HostAction.MUTE, ada)
        muted = (await guest.hear("updated"))["participant"]
        assert (muted["participantId"], muted["microphone"]) == (ada, False)
        await client.host(room.room_id, HostAction.KICK, ben)
        assert (await guest.hear("left"))["participantId"] == ben
        names = {p.display_name for p in (await client.room(room.room_id)).participants}
        assert names == {"Ada Park", "Cleo Marsh", "Guest"}


async def test_those_who_come_later_read_the_chat(client: SandboxClient, door: Doorstep) -> None:
    room = await client.create_room(EMPTY)
    async with door.join(room, "One") as one:
        await one.hear("welcome")
        await one.send(type="chat", text="early")
        await one.hear("chat")
        async with door.join(room, "Two") as two:
            assert [m["text"] for m in (await two.hear("welcome"))["chat"]] == ["early"]


async def test_whom_a_page_pins_is_told_to_all(client: SandboxClient, door: Doorstep) -> None:
    """API-12: what is large in one page can be seen from outside; strangers cannot be pinned."""
    room = await client.create_room(EMPTY)
    async with door.join(room, "One") as one, door.join(room, "Two") as two:
        first = (await one.hear("welcome"))["participantId"]
        second = (await two.hear("welcome"))["participantId"]
        for wanted, pinned in ((second, second), ("p_stranger", None), (first, first)):
            await one.send(type="pin", participantId=wanted)
            told = (await two.hear("updated"))["participant"]
            assert (told["participantId"], told["pinned"]) == (first, pinned)
        view = await client.room(room.room_id)
        assert [person.pinned for person in view.participants] == [first, None]
