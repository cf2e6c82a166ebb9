"""Routes: the HTTP API of rooms, their pages, their WebSocket."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, Header, Request, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse

from core.errors import NotFound, Unauthorized
from core.settings import SandboxSettings
from sandbox.room import Room
from sandbox.rooms import Rooms
from sandbox.schemas import HostCommand, RoomCreated, RoomOptions, RoomState, RoomView
from sandbox.signalling import converse

PAGE: Final = Path(__file__).parent / "page"

router = APIRouter()


def _rooms(request: Request) -> Rooms:
    return cast(Rooms, request.app.state.rooms)


def _bearer(authorization: Annotated[str, Header()] = "") -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("Send the token as `Authorization: Bearer …`.")
    return token


RoomsDep = Annotated[Rooms, Depends(_rooms)]
Token = Annotated[str, Depends(_bearer)]


def _is_admin(request: Request, token: Token) -> bool:
    settings = cast(SandboxSettings, request.app.state.settings)
    admin = settings.admin_token.get_secret_value() if settings.admin_token else ""
    return bool(admin) and secrets.compare_digest(token.encode(), admin.encode())


IsAdmin = Annotated[bool, Depends(_is_admin)]


def _as_admin(admin: IsAdmin) -> None:
    if not admin:
        raise Unauthorized("This takes the sandbox's admin token.")


def _as_owner(room_id: str, rooms: RoomsDep, token: Token, admin: IsAdmin) -> Room:
    room = rooms.find(room_id)
    if not admin and not room.doors.is_host(token):
        raise Unauthorized("This takes the room's host token or the admin token.")
    return room


OwnedRoom = Annotated[Room, Depends(_as_owner)]


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.post("/api/rooms", status_code=201, dependencies=[Depends(_as_admin)])
async def create(
    request: Request, rooms: RoomsDep, options: RoomOptions | None = None
) -> JSONResponse:
    """Make a room; the only answer that shows its tokens."""
    room = await rooms.create(options or RoomOptions())
    origin = cast(SandboxSettings, request.app.state.settings).origin
    guest, host = (t.get_secret_value() for t in (room.doors.guest, room.doors.host))
    created = RoomCreated(
        room_id=room.doors.room_id,
        guest_url=f"{origin}/r/{room.doors.room_id}?t={guest}",
        host_url=f"{origin}/r/{room.doors.room_id}?t={host}",
        guest_token=room.doors.guest,
        host_token=room.doors.host,
    )
    shown = created.model_dump(mode="json", by_alias=True)
    return JSONResponse(shown | {"guestToken": guest, "hostToken": host}, 201)


@router.get("/api/rooms/{room_id}")
async def show(room: OwnedRoom) -> RoomView:
    return room.view


@router.post("/api/rooms/{room_id}/host")
async def act(room: OwnedRoom, command: HostCommand) -> RoomView:
    room.act(command.action, command.participant_id)
    return room.view


@router.delete("/api/rooms/{room_id}", status_code=204, dependencies=[Depends(_as_admin)])
async def delete(room_id: str, rooms: RoomsDep) -> None:
    await rooms.delete(room_id)


@router.websocket("/ws/{room_id}")
async def talk(socket: WebSocket, room_id: str) -> None:
    await converse(socket, room_id, cast(Rooms, socket.app.state.rooms))


@router.get("/r/{room_id}")
async def room_page(room_id: str, rooms: RoomsDep, t: str = "") -> HTMLResponse:
    """The meeting page; which view it begins with is decided here."""
    try:
        room = rooms.find(room_id)
    except NotFound:
        return _page("not-found", 404)
    if not room.doors.opened_by(t):
        return _page("not-found", 404)
    return _page("ended" if room.state is RoomState.ENDED else "prejoin", 200)


@router.get("/")
async def nowhere() -> HTMLResponse:
    return _page("not-found", 404)


def _page(start: str, status: int) -> HTMLResponse:
    html = (PAGE / "index.html").read_text("utf-8")
    return HTMLResponse(html.replace('data-start=""', f'data-start="{start}"'), status)
