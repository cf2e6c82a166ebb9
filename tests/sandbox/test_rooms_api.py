"""The HTTP side: making, reading, ending rooms, and who may."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from core.errors import BadInput, InvalidState, NotFound, RateLimited, Unauthorized, Unavailable
from core.settings import SandboxSettings
from sandbox.app import create_app
from sandbox.client import SandboxClient
from sandbox.room import Room
from sandbox.rooms import KEEP_SECONDS, Rooms
from sandbox.schemas import HostAction, RoomOptions, RoomState
from tests.sandbox.conftest import ManualClock
from tests.support.sandbox import SandboxServer, running_sandbox

pytestmark = pytest.mark.integration


async def test_a_room_has_two_doors(client: SandboxClient, sandbox_server: SandboxServer) -> None:
    made = await client.create_room(RoomOptions(lobby=True))
    guest, host = made.guest_token.get_secret_value(), made.host_token.get_secret_value()
    assert made.guest_url == f"{sandbox_server.origin}/r/{made.room_id}?t={guest}"
    assert made.host_url == f"{sandbox_server.origin}/r/{made.room_id}?t={host}"
    assert guest != host
    room = await client.room(made.room_id)
    assert room.state is RoomState.OPEN
    assert room.options.lobby
    assert {p.display_name for p in room.participants} == {"Ada Park", "Ben Ortiz", "Cleo Marsh"}


async def test_a_room_may_be_empty(client: SandboxClient) -> None:
    made = await client.create_room(RoomOptions(script=None))
    assert (await client.room(made.room_id)).participants == ()


async def test_the_host_token_reads_and_rules_and_the_guest_token_does_not(
    client: SandboxClient, sandbox_server: SandboxServer
) -> None:
    made = await client.create_room(RoomOptions(script=None))
    async with SandboxClient(sandbox_server.origin, made.host_token) as host:
        assert (await host.host(made.room_id, HostAction.END)).state is RoomState.ENDED
        with pytest.raises(Unauthorized, match="admin token"):
            await host.delete(made.room_id)
        with pytest.raises(Unauthorized, match="admin token"):
            await host.create_room()
    async with SandboxClient(sandbox_server.origin, made.guest_token) as guest:
        with pytest.raises(Unauthorized, match="host token"):
            await guest.room(made.room_id)


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "Bearer wrong"])
async def test_without_the_admin_token_no_room_is_made(
    sandbox_server: SandboxServer, header: str
) -> None:
    async with httpx.AsyncClient(base_url=sandbox_server.origin, timeout=10) as http:
        answer = await http.post("/api/rooms", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize(
    ("body", "names"),
    [({"maxGuests": 0}, "maxGuests"), ({"lobbies": True}, "lobbies"), ({"script": 7}, "script")],
)
async def test_wrong_options_are_named(
    sandbox_server: SandboxServer, body: dict[str, object], names: str
) -> None:
    headers = {"Authorization": f"Bearer {sandbox_server.admin_token.get_secret_value()}"}
    async with httpx.AsyncClient(base_url=sandbox_server.origin, timeout=10) as http:
        answer = await http.post("/api/rooms", json=body, headers=headers)
    assert answer.status_code == 422
    assert names in answer.json()["error"]["message"]


async def test_mistakes_are_told_by_the_client_as_our_errors(client: SandboxClient) -> None:
    made = await client.create_room(RoomOptions(script=None))
    with pytest.raises(BadInput, match="no script 'opera'"):
        await client.create_room(RoomOptions(script="opera"))
    with pytest.raises(NotFound, match="no room"):
        await client.room("0123456789")
    with pytest.raises(BadInput, match="give participantId"):
        await client.host(made.room_id, HostAction.KICK)
    with pytest.raises(NotFound, match="Nobody here"):
        await client.host(made.room_id, HostAction.ADMIT, "p_nobody")
    await client.host(made.room_id, HostAction.END)
    with pytest.raises(InvalidState, match="ended"):
        await client.host(made.room_id, HostAction.END)
    await client.delete(made.room_id)
    with pytest.raises(NotFound):
        await client.room(made.room_id)


async def test_a_sandbox_that_is_not_there_is_unavailable() -> None:
    async with SandboxClient("http://127.0.0.1:9", SecretStr("x"), timeout=2) as client:
        with pytest.raises(Unavailable, match="MEETBOT_SANDBOX__ORIGIN"):
            await client.create_room()


async def test_too_many_rooms_are_refused_until_one_is_closed() -> None:
    with running_sandbox(max_rooms=1) as server:
        async with server.client() as client:
            first = await client.create_room(RoomOptions(script=None))
            with pytest.raises(RateLimited, match="1 rooms are open") as refused:
                await client.create_room(RoomOptions(script=None))
            assert refused.value.retry_after_seconds > 0
            await client.delete(first.room_id)
            await client.create_room(RoomOptions(script=None))


async def test_pages_forbid_inline_scripts_and_embedding(sandbox_server: SandboxServer) -> None:
    async with httpx.AsyncClient(base_url=sandbox_server.origin, timeout=10) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        page = await http.get("/")
        script = await http.get("/page/main.js")
    assert page.status_code == 404
    assert "<script>" not in page.text
    for answer in (page, script):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_without_an_admin_token_the_sandbox_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="MEETBOT_SANDBOX__ADMIN_TOKEN"):
        create_app(SandboxSettings(admin_token=None), tmp_path)


async def test_a_room_ends_when_its_time_is_over_and_is_forgotten_later(
    clock: ManualClock, tmp_path: Path
) -> None:
    rooms = Rooms(clock, tmp_path, limit=5)
    room: Room = await rooms.create(RoomOptions(script=None, max_seconds=60))
    clock.advance(59)
    await rooms.sweep()
    assert room.state is RoomState.OPEN
    clock.advance(1)
    await rooms.sweep()
    assert rooms.find(room.doors.room_id).view.state is RoomState.ENDED
    clock.advance(KEEP_SECONDS + 1)
    await rooms.sweep()
    with pytest.raises(NotFound):
        rooms.find(room.doors.room_id)
