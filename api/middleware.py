"""Around every request: an id, a size limit, and an answer even when our code fails."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from api.errors import INTERNAL_MESSAGE, envelope
from core.errors import TooLarge
from core.logs import about

log = logging.getLogger(__name__)

MOST_BODY_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Served:
    """One request that was answered. `route` is the pattern of its path: what stands in the place
    of its parameters may be a secret."""

    request_id: str
    method: str
    route: str
    status: int
    seconds: float


class RequestFrame:
    """Sets `x-request-id` on every answer (CV-17) and turns what escaped into a 500 envelope.

    Args:
        served: called with every answer, when its last byte is sent.
    """

    def __init__(self, app: ASGIApp, served: Callable[[Served], None]) -> None:
        self._app = app
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{ULID()}"
        began, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        with about(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                log.exception("%s %s failed", scope["method"], _route(scope))
                if status:
                    raise
                await envelope(500, INTERNAL_MESSAGE)(scope, receive, send_with_id)
            finally:
                seconds = time.perf_counter() - began
                self._served(Served(request_id, scope["method"], _route(scope), status, seconds))


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", None) or "(none)"


class BodyLimit:
    """Reads each body before the application does, and refuses what is too large (CV-18).

    Args:
        larger: paths that take more, and how much. Their bodies are read by the route itself,
            when it knows who sends them; it gets a TooLarge from its `Request`.
    """

    def __init__(
        self,
        app: ASGIApp,
        most: int = MOST_BODY_BYTES,
        larger: Sequence[tuple[re.Pattern[str], int]] = (),
    ) -> None:
        self._app = app
        self._most = most
        self._larger = tuple(larger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        larger = self._larger_limit(scope["path"])
        most = larger or self._most
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced[:18]) > most:
            await envelope(413, _too_large(most))(scope, receive, send)
            return
        if larger is not None:
            await self._app(scope, _counted(receive, larger), send)
            return
        body = await self._read(receive)
        if body is None:
            await envelope(413, _too_large(most))(scope, receive, send)
            return
        whole: Message = {"type": "http.request", "body": body, "more_body": False}
        pending = [whole]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    def _larger_limit(self, path: str) -> int | None:
        return next((most for route, most in self._larger if route.fullmatch(path)), None)

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


def _counted(receive: Receive, most: int) -> Receive:
    read = 0

    async def counting() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise TooLarge(_too_large(most))
        return message

    return counting


def _too_large(most: int) -> str:
    return f"The body is larger than {most >> 20} MiB."
