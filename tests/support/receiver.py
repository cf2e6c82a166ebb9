"""A webhook receiver on loopback that answers as it is told and remembers what came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content


@dataclass
class Receiver:
    """`statuses` are used up in order, then 200; `silent` keeps every sender waiting."""

    origin: str = ""
    statuses: list[int] = field(default_factory=list)
    silent: bool = False
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.origin}/hook"

    @property
    def events(self) -> list[str]:
        return [one.json["event"] for one in self.received]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, value in _pairs(head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.received.append(Received(head[0].split(" ")[1], headers, body))
            if self.silent:
                await reader.read()
                return
            status = self.statuses.pop(0) if self.statuses else 200
            location = f"location: {self.origin}/moved\r\n" if 300 <= status < 400 else ""
            writer.write(
                f"HTTP/1.1 {status} Told\r\n{location}content-length: 0\r\n"
                "connection: close\r\n\r\n".encode()
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            # The sender gave up, as some tests want it to.
            return
        finally:
            writer.close()


@asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    async with server:
        receiver.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield receiver


def _pairs(lines: list[str]) -> list[tuple[str, str]]:
    found = (line.partition(": ") for line in lines if ": " in line)
    return [(name, value) for name, _, value in found]
