"""Around every request: an id, a size limit, and an answer even when our code fails."""

from __future__ import annotations

import logging
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from api.errors import INTERNAL_MESSAGE, envelope

log = logging.getLogger(__name__)

MOST_BODY_BYTES: Final = 1 << 20
TOO_LARGE_MESSAGE: Final = "The body is larger than 1 MiB."


class RequestFrame:
    """Sets `x-request-id` on every answer (CV-17) and turns what escaped into a 500 envelope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{ULID()}"
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request %s failed: %s %s", request_id, scope["method"], scope["path"])
            if started:
                raise
            await envelope(500, INTERNAL_MESSAGE)(scope, receive, send_with_id)


class BodyLimit:
    """Reads each body before the application does, and refuses what is too large (CV-18)."""

    def __init__(self, app: ASGIApp, most: int = MOST_BODY_BYTES) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced[:18]) > self._most:
            await envelope(413, TOO_LARGE_MESSAGE)(scope, receive, send)
            return
        body = await self._read(receive)
        if body is None:
            await envelope(413, TOO_LARGE_MESSAGE)(scope, receive, send)
            return
        whole: Message = {"type": "http.request", "body": body, "more_body": False}
        pending = [whole]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body; None when it is too large. A client that went away sent what it sent."""
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._most:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return bytes(body)
