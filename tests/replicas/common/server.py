"""Serves the replicas under the platforms' own host names: the browser is told that every name is
this server, so that the drivers run unchanged on real https URLs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.replicas.common.rooms import Guest, ReplicaRoom, Scenario
from tests.replicas.platforms import ReplicaPlatform
from tests.support.certificates import certificate_of
from tests.support.ports import loopback

REPLICAS = Path(__file__).parent.parent


@dataclass
class Replicas:
    """The running server. Rooms are known by the last part of their address."""

    port: int
    hosts: dict[str, ReplicaPlatform]
    rooms: dict[str, ReplicaRoom] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def browser_arguments(self) -> list[str]:
        """For a Chromium that takes this server for the internet."""
        return [
            f"--host-resolver-rules=MAP * 127.0.0.1:{self.port}, EXCLUDE 127.0.0.1",
            "--allow-loopback-in-peer-connection",
            "--autoplay-policy=no-user-gesture-required",
            "--disable-features=WebRtcHideLocalIpsWithMdns",
        ]

    def make(self, platform: ReplicaPlatform, scenario: Scenario) -> tuple[str, ReplicaRoom]:
        """A new room and its name."""
        name = platform.named(next(self._numbers))
        self.rooms[name] = room = ReplicaRoom(scenario, platform.person)
        return name, room

    def platform_of(self, host: str) -> ReplicaPlatform | None:
        for known, platform in self.hosts.items():
            if host == known or host.endswith(f".{known}"):
                return platform
        return None

    async def page(self, request: Request) -> Response:
        platform = self.platform_of(request.url.hostname or "")
        room = request.url.path.rstrip("/").rpartition("/")[2]
        if platform is None or (platform.in_path and room not in self.rooms):
            return Response("Nothing here.", status_code=404)
        return FileResponse(REPLICAS / platform.slug / "index.html")

    async def file(self, request: Request) -> Response:
        path = (REPLICAS / request.path_params["path"]).resolve()
        if not path.is_relative_to(REPLICAS) or path.suffix not in {".js", ".css"}:
            return Response("Nothing here.", status_code=404)
        return FileResponse(path)

    async def ask(self, request: Request) -> Response:
        """What the platform's client asks its servers about the room that it names."""
        platform = self.platform_of(request.url.hostname or "")
        room = self.rooms.get((await request.body()).decode(errors="replace"))
        if platform is None or platform.answer is None or room is None:
            return Response("Nothing here.", status_code=404)
        return Response(platform.answer(room.people, room.guest.name if room.guest else ""))

    async def converse(self, websocket: WebSocket) -> None:
        room = self.rooms.get(websocket.query_params.get("room", ""))
        await websocket.accept()
        if room is None:
            await websocket.close()
            return
        outbox: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        guest = room.guest = Guest(outbox.put_nowait, lambda: outbox.put_nowait(None))
        outbox.put_nowait(room.hello())
        room.pages += 1
        writing = asyncio.create_task(_write(websocket, outbox))
        try:
            while True:
                room.hear(guest, json.loads(await websocket.receive_text()))
        except WebSocketDisconnect:
            room.gone.set()
        finally:
            writing.cancel()


async def _echo(websocket: WebSocket) -> None:
    """A platform's signalling: the page's own script says what its server would."""
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_text(await websocket.receive_text())


async def _write(websocket: WebSocket, outbox: asyncio.Queue[dict[str, Any] | None]) -> None:
    """Until None, which ends the connection as a lost network does."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while (message := await outbox.get()) is not None:
            await websocket.send_text(json.dumps(message))
        await websocket.close(1011)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the test run's."""
        yield


@contextlib.asynccontextmanager
async def running_replicas(
    hosts: dict[str, ReplicaPlatform], folder: Path
) -> AsyncIterator[Replicas]:
    """Serve until the block is left; `hosts` maps host names to platforms."""
    certificate, key = certificate_of(folder, "replicas.test")
    listener = loopback()
    replicas = Replicas(listener.getsockname()[1], hosts)
    app = Starlette(
        routes=[
            Route("/_replica/{path:path}", replicas.file),
            WebSocketRoute("/_replica-ws", replicas.converse),
            WebSocketRoute("/_replica-echo", _echo),
            Route("/$rpc/{path:path}", replicas.ask, methods=["POST"]),
            Route("/{path:path}", replicas.page),
        ]
    )
    config = uvicorn.Config(
        app,
        log_level="warning",
        lifespan="off",
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield replicas
    finally:
        server.should_exit = True
        await asyncio.wait([serving], timeout=5)
        listener.close()
