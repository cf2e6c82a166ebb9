"""Fetching a customer's file: only from where webhooks may go, and only so much (API-71, CV-16)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from core.errors import BadInput, TooLarge
from core.network.fetching import Fetcher

pytestmark = pytest.mark.integration


@asynccontextmanager
async def serving(
    answer: bytes, *, stays_open: bool = False, port: int = 0
) -> AsyncIterator[tuple[str, list[str]]]:
    """An origin that gives every request the same bytes, and what it was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        writer.write(answer)
        if stays_open:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def response(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


async def fetched(url: str, *trusted: str, most: int = 100, seconds: float = 10) -> bytes:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        return ("127.0.0.1",)

    async with Fetcher(
        timeout_seconds=seconds, trusted_origins=trusted, resolver=nowhere
    ) as fetcher:
        return await fetcher.fetch(url, most)


async def test_the_bytes_come_whole_and_uncompressed() -> None:
    async with serving(response(b"x" * 100)) as (origin, asked):
        assert await fetched(f"{origin}/a.png?b=1", origin) == b"x" * 100
    assert asked[0].startswith("GET /a.png?b=1 HTTP/1.1")
    assert "accept-encoding: identity" in asked[0].lower()


@pytest.mark.parametrize(
    "url",
    ["http://files.example/a", "https://files.example/a", "ftp://files.example/a", "nonsense"],
)
async def test_what_leads_inside_is_refused(url: str) -> None:
    """The name resolves to loopback."""
    with pytest.raises(BadInput):
        await fetched(url)


async def test_an_origin_that_is_not_trusted_is_not_even_asked() -> None:
    async with serving(response(b"x")) as (origin, asked):
        with pytest.raises(BadInput):
            await fetched(origin)
    assert asked == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response(b"", "302 Found", "location: /b\r\n"), "Redirects are not followed"),
        (response(b"no", "404 Not Found"), "404"),
        (b"not http at all\r\n\r\n", "could not be fetched"),
        (b"", "could not be fetched"),
    ],
    ids=["redirect", "missing", "garbage", "silence"],
)
async def test_each_way_to_give_no_file_is_said(answer: bytes, words: str) -> None:
    async with serving(answer) as (origin, asked):
        with pytest.raises(BadInput, match=words):
            await fetched(f"{origin}/a", origin)
    assert len(asked) == 1


async def test_too_much_is_given_up_while_it_comes() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000
    async with serving(endless, stays_open=True) as (origin, _):
        with pytest.raises(TooLarge):
            await fetched(f"{origin}/a", origin)


async def test_a_slow_server_is_given_up() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\n\r\nx", stays_open=True) as (origin, _):
        with pytest.raises(BadInput, match=r"within 0\.2 s"):
            await fetched(f"{origin}/a", origin, seconds=0.2)
