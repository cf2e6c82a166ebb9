"""A load of HTTP requests over kept connections, cheap enough not to be what is measured.

An ordinary client costs more than the server that it asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

CONNECTIONS: Final = 32
ANSWER_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Request:
    """What to send; `body` is JSON."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    def encoded(self, host: str) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines += ["content-type: application/json", f"content-length: {len(self.body)}"]
        return "\r\n".join((*lines, "", "")).encode() + self.body


@dataclass(frozen=True)
class Load:
    """Requests a second, and the time of the slowest hundredth in milliseconds."""

    rate: float
    p99_ms: float


async def load(
    origin: str, make: Callable[[], Request], *, seconds: float, expected: int = 200
) -> Load:
    """Keep `CONNECTIONS` connections busy for `seconds`.

    Raises:
        RuntimeError: an answer had another status than `expected`.
    """
    times: list[float] = []
    address = urlsplit(origin)
    began = time.monotonic()

    async def work() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            while time.monotonic() < began + seconds:
                sent = time.monotonic()
                writer.write(make().encoded(address.netloc))
                async with asyncio.timeout(ANSWER_SECONDS):
                    await _read(reader, expected)
                times.append(time.monotonic() - sent)
        finally:
            writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(work())
    elapsed = time.monotonic() - began
    return Load(len(times) / elapsed, sorted(times)[len(times) * 99 // 100] * 1000)


async def _read(reader: asyncio.StreamReader, expected: int) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    status = int(head[0].split(" ")[1])
    if status != expected:
        raise RuntimeError(f"answered {status}: {body[:300]!r}")
