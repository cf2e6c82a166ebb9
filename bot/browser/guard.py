"""The egress guard: the only way from the bot's browser to the network (design.md D19).

A forward proxy on loopback, one per meeting. Every request, redirect and WebSocket of the browser
is a connection through it. It lets through TLS (and STUN, for relays over TCP) to public
addresses, resolved here and connected to as checked; plain http and private addresses only for
trusted origins. Other users of the machine cannot use it where the system tells whose a
connection is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

from bot.browser.socket_owner import is_our_connection
from core.errors import BadInput
from core.network.addresses import (
    AddressRefused,
    HostUnknown,
    Resolve,
    Target,
    is_trusted,
    origin_of,
    resolve,
    resolve_public,
)

log = logging.getLogger(__name__)

HEAD_TIMEOUT_SECONDS: Final = 15.0
CONNECT_TIMEOUT_SECONDS: Final = 10.0
MAX_CONNECTIONS: Final = 512
MAX_HEAD_BYTES: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
_STUN_COOKIE: Final = b"\x21\x12\xa4\x42"
_HOP_HEADERS: Final = (b"proxy-", b"connection:", b"keep-alive:")


# Tells the guard's own answers from those of servers.
ANSWERED_BY_GUARD: Final = "meetbot-egress-guard"


class Refusal(StrEnum):
    """Why a connection was turned away; the key of `EgressGuard.refused`."""

    PRIVATE_ADDRESS = "private_address"
    NOT_HTTPS = "not_https"
    UNKNOWN_HOST = "unknown_host"
    UNREACHABLE = "unreachable"
    BAD_REQUEST = "bad_request"
    FOREIGN_PROCESS = "foreign_process"
    TOO_MANY = "too_many"


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(frozen=True)
class _Request:
    """`head` is what goes to the server: empty for a tunnel."""

    host: str
    port: int
    trusted: bool
    head: bytes

    @property
    def tunnel(self) -> bool:
        return not self.head


class EgressGuard:
    """Serves while entered. `refused` counts refusals; hosts are logged without path or query."""

    def __init__(
        self,
        trusted_origins: Sequence[str],
        *,
        resolver: Resolve = resolve,
    ) -> None:
        self.refused: Counter[Refusal] = Counter()
        self._trusted_origins = tuple(trusted_origins)
        self._trusted_hosts = frozenset(
            _host_and_port(origin) for origin in self._trusted_origins if origin_of(origin)
        )
        self._resolver = resolver
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._closing = False
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> EgressGuard:
        self._server = await asyncio.start_server(
            self._accepted, "127.0.0.1", 0, limit=MAX_HEAD_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        if self._server is not None:
            self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a stream callback is a task
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except _Refused as error:
            await _answer(writer, error.refusal)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            log.debug("A connection of the browser broke.")
        except asyncio.CancelledError:
            # A stream callback that ends cancelled is logged by asyncio as a fault.
            if not self._closing:
                raise
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) > MAX_CONNECTIONS:
            raise self._refusal(Refusal.TOO_MANY, "")
        if not is_our_connection(writer.get_extra_info("peername")[1], self.port):
            raise self._refusal(Refusal.FOREIGN_PROCESS, "")
        async with asyncio.timeout(HEAD_TIMEOUT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        request = self._parse(head)
        target = await self._target(request)
        upstream_reader, upstream = await self._connect(target)
        try:
            if request.tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await writer.drain()
                upstream.write(await self._first_bytes(reader, request))
            else:
                upstream.write(request.head)
            await _relay(reader, writer, upstream_reader, upstream)
        finally:
            upstream.close()

    def _parse(self, head: bytes) -> _Request:
        line, _, headers = head.partition(b"\r\n")
        try:
            method, url, _version = line.decode("ascii").split(" ")
            parts = urlsplit(f"//{url}" if method == "CONNECT" else url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise self._refusal(Refusal.BAD_REQUEST, "") from None
        if not host:
            raise self._refusal(Refusal.BAD_REQUEST, "")
        if method == "CONNECT":
            if port is None:
                raise self._refusal(Refusal.BAD_REQUEST, host)
            return _Request(host, port, (host, port) in self._trusted_hosts, b"")
        if parts.scheme != "http" or not is_trusted(url, self._trusted_origins):
            raise self._refusal(Refusal.NOT_HTTPS, host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return _Request(host, port or 80, True, _to_origin_form(method, path, headers))

    async def _target(self, request: _Request) -> Target:
        try:
            return await resolve_public(
                request.host, request.port, trusted=request.trusted, resolver=self._resolver
            )
        except AddressRefused:
            raise self._refusal(Refusal.PRIVATE_ADDRESS, request.host) from None
        except HostUnknown:
            raise self._refusal(Refusal.UNKNOWN_HOST, request.host) from None
        except BadInput:
            raise self._refusal(Refusal.UNREACHABLE, request.host) from None

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                for address in target.addresses:
                    with suppress(OSError):
                        return await asyncio.open_connection(address, target.port)
        raise self._refusal(Refusal.UNREACHABLE, target.host)

    async def _first_bytes(self, reader: asyncio.StreamReader, request: _Request) -> bytes:
        """What the browser says first through a tunnel; only TLS and STUN may leave."""
        async with asyncio.timeout(HEAD_TIMEOUT_SECONDS):
            first = await reader.read(_CHUNK)
        if request.trusted or not first:
            return first
        if len(first) < 10:
            async with asyncio.timeout(HEAD_TIMEOUT_SECONDS):
                first += await reader.readexactly(10 - len(first))
        tls = first[0] == 0x16 and first[1] == 0x03
        stun = _STUN_COOKIE in (first[4:8], first[6:10])
        if not (tls or stun):
            self._refusal(Refusal.NOT_HTTPS, request.host)
            raise EOFError
        return first

    def _refusal(self, refusal: Refusal, host: str) -> _Refused:
        self.refused[refusal] += 1
        log.warning("The egress guard refused a connection: %s (%s)", refusal, host[:255])
        return _Refused(refusal)


def _host_and_port(origin: str) -> tuple[str, int]:
    parts = urlsplit(origin)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _to_origin_form(method: str, path: str, headers: bytes) -> bytes:
    """The request as a server expects it, one request per connection."""
    kept = [
        line
        for line in headers.split(b"\r\n")
        if line and not line.lower().startswith(_HOP_HEADERS)
    ]
    lines = [f"{method} {path} HTTP/1.1".encode("ascii"), *kept, b"Connection: close", b"", b""]
    return b"\r\n".join(lines)


async def _answer(writer: asyncio.StreamWriter, refusal: Refusal) -> None:
    status = "502 Bad Gateway" if refusal is Refusal.UNREACHABLE else "403 Forbidden"
    body = f"Refused by the egress guard: {refusal}\n"
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(HEAD_TIMEOUT_SECONDS):
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                f"{ANSWERED_BY_GUARD}: {refusal}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            await writer.drain()


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    upstream_reader: asyncio.StreamReader,
    upstream: asyncio.StreamWriter,
) -> None:
    """Copy both ways until either side closes."""
    copies = [
        asyncio.create_task(_copy(reader, upstream)),
        asyncio.create_task(_copy(upstream_reader, writer)),
    ]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
