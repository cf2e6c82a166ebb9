"""A webhook receiver as a customer would write it: verify the raw bytes, then parse."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr

from core.webhooks.signing import verify

SIGNATURE = "x-meetbot-signature"


@dataclass(frozen=True)
class Received:
    """One delivery. `verified` says that its signature is ours."""

    event: str
    delivery_id: str
    attempt: int
    verified: bool
    body: dict[str, Any]


class WebhookReceiver:
    """Listens on a free loopback port while the block runs; keeps what it was sent."""

    def __init__(self, secret: SecretStr | None = None, host: str = "127.0.0.1") -> None:
        # None until the customer knows it; what arrives before is not verified.
        self.secret = secret
        # The protocol is named because asyncio sends at once only where it is (no Nagle).
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind((host, 0))
        self._socket.listen()
        self._host = host
        self._server = uvicorn.Server(
            uvicorn.Config(self._app(), log_config=None, access_log=False, lifespan="off")
        )
        self._task: asyncio.Task[None] | None = None
        self._arrival = asyncio.Condition()
        self.received: list[Received] = []

    @property
    def origin(self) -> str:
        return f"http://{self._host}:{self._socket.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"{self.origin}/hook"

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._socket.close()

    async def wait_for(self, event: str, timeout: float) -> Received:
        """The first delivery of `event`, waiting up to `timeout` seconds for it.

        Raises:
            TimeoutError: none came.
        """
        async with asyncio.timeout(timeout), self._arrival:
            while True:
                for received in self.received:
                    if received.event == event:
                        return received
                await self._arrival.wait()

    def _app(self) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

        @app.post("/hook")
        async def hook(request: Request) -> Response:
            raw = await request.body()
            verified = self.secret is not None and verify(
                raw, request.headers.get(SIGNATURE), self.secret
            )
            body = json.loads(raw)
            async with self._arrival:
                self.received.append(
                    Received(body["event"], body["deliveryId"], body["attempt"], verified, body)
                )
                self._arrival.notify_all()
            return Response(status_code=204 if verified else 401)

        return app
