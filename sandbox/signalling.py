"""The WebSocket of one browser: messages in, messages out, and noticing that it went away."""

from __future__ import annotations

import asyncio
import logging
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from core.errors import MeetbotError, NotFound
from sandbox.messages import (
    DISPLAY_NAME_LIMIT,
    FROM_PAGE,
    Host,
    IncomingVideo,
    Join,
    Leave,
    Over,
    Pin,
    Reason,
    Say,
    Sending,
    Signal,
)
from sandbox.room import Room
from sandbox.rooms import Rooms
from sandbox.visitor import SENTENCES, Visitor

log = logging.getLogger(__name__)

HELLO_SECONDS: Final = 10
SEND_SECONDS: Final = 10
POLICY_VIOLATION: Final = 1008
# A mesh of twenty with all its candidates stays well below this.
MESSAGES_PER_CONNECTION_SECOND: Final = 200


async def converse(socket: WebSocket, room_id: str, rooms: Rooms) -> None:
    """Serve one browser until it leaves, is told to, or vanishes."""
    if not _same_origin(socket):
        await socket.close(POLICY_VIOLATION, "This page belongs to another site.")
        return
    await socket.accept()
    try:
        join = Join.model_validate_json(
            await asyncio.wait_for(socket.receive_text(), HELLO_SECONDS)
        )
        room = _open_door(rooms, room_id, join)
    except NotFound:
        over = Over(reason=Reason.NOT_FOUND, message=SENTENCES[Reason.NOT_FOUND])
        await socket.send_text(over.model_dump_json(by_alias=True))
        await socket.close()
    except (TimeoutError, ValidationError, KeyError):
        await socket.close(POLICY_VIOLATION, "Begin with a join message.")
    except WebSocketDisconnect:
        return
    else:
        await _attend(socket, room, _visitor(room, join))


def _same_origin(socket: WebSocket) -> bool:
    """Browsers say which site's page connects; other sites' pages have no business here."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


def _open_door(rooms: Rooms, room_id: str, join: Join) -> Room:
    """Raises NotFound for a wrong token too: strangers do not learn which rooms exist."""
    room = rooms.find(room_id)
    if not room.doors.opened_by(join.token.get_secret_value()):
        raise NotFound("Wrong token.")
    return room


def _visitor(room: Room, join: Join) -> Visitor:
    printable = "".join(c for c in join.display_name if unicodedata.category(c)[0] != "C")
    name = " ".join(printable.split())[:DISPLAY_NAME_LIMIT] or "Guest"
    host = room.doors.is_host(join.token.get_secret_value())
    return Visitor(name, host, microphone=join.microphone, camera=join.camera)


async def _attend(socket: WebSocket, room: Room, visitor: Visitor) -> None:
    room.enter(visitor)
    work = {
        asyncio.create_task(_listen(socket, room, visitor)),
        asyncio.create_task(_write(socket, visitor)),
    }
    try:
        _, pending = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        # A browser that leaves is told so; one that vanished is not waited for.
        room.leave(visitor)
        if pending and socket.client_state is WebSocketState.CONNECTED:
            await asyncio.wait(pending, timeout=SEND_SECONDS)
    finally:
        room.leave(visitor)
        for task in work:
            task.cancel()
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                log.warning("the connection of a browser broke: %r", result)


async def _write(socket: WebSocket, visitor: Visitor) -> None:
    """Send what is queued; hang up after a farewell."""
    while True:
        message = await visitor.outbox.get()
        text = message.model_dump_json(by_alias=True)
        await asyncio.wait_for(socket.send_text(text), SEND_SECONDS)
        if isinstance(message, Over):
            await socket.close()
            return


async def _listen(socket: WebSocket, room: Room, visitor: Visitor) -> None:
    """Until the browser leaves, vanishes or talks nonsense."""
    loop = asyncio.get_running_loop()
    since, count = loop.time(), 0
    async for text in socket.iter_text():
        count += 1
        if count > MESSAGES_PER_CONNECTION_SECOND * (1 + loop.time() - since):
            log.warning("a browser sent too many messages and was disconnected")
            return
        try:
            message = FROM_PAGE.validate_json(text)
        except ValidationError as error:
            log.warning("a browser sent what is not a message: %s", error.errors()[0]["msg"])
            return
        if isinstance(message, Leave):
            return
        _obey(room, visitor, message)


def _obey(
    room: Room, visitor: Visitor, message: Signal | Say | Sending | IncomingVideo | Pin | Host
) -> None:
    match message:
        case Signal():
            room.signal(visitor, message)
        case Say():
            room.say(visitor, message.text)
        case Sending():
            room.sending(visitor, message)
        case IncomingVideo():
            room.incoming_video(visitor, message.on)
        case Pin():
            room.pin(visitor, message.participant_id)
        case Host():
            _host(room, visitor, message)


def _host(room: Room, visitor: Visitor, message: Host) -> None:
    if not visitor.host:
        return
    try:
        room.act(message.action, message.participant_id)
    except MeetbotError as error:
        # Somebody left while the host pressed the button: the page shows that anyway.
        log.info("a host action came too late: %s", error.message)
