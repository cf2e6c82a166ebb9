"""The egress guard as a proxy, without a browser (D19)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from bot.browser.guard import EgressGuard, Refusal
from bot.browser.socket_owner import is_our_connection
from core.network.addresses import HostUnknown, ResolverFailed

pytestmark = pytest.mark.integration

CLIENT_HELLO = bytes.fromhex("160301002f0100002b0303") + bytes(32)
STUN_BINDING = bytes.fromhex("000100002112a442") + bytes(12)


@dataclass
class Upstream:
    """A server that keeps what it got and answers once."""

    port: int = 0
    got: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.got.append(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    yield upstream
    server.close()


async def resolve(host: str, port: int) -> Sequence[str]:
    if host == "nowhere.example":
        raise HostUnknown(f"{host} does not exist")
    if host == "slow.example":
        raise ResolverFailed("later")
    return ["127.0.0.1"]


@pytest.fixture
def everything_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a local server can stand for one on the internet."""
    monkeypatch.setattr("core.network.addresses.is_public", lambda _: True)


async def ask(guard: EgressGuard, text: str, then: bytes = b"") -> bytes:
    """Send a request through the guard, then `then`; everything that came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", guard.port)
    writer.write(text.replace("\n", "\r\n").encode())
    answer = b""
    async with asyncio.timeout(10):
        if then:
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.write(then)
        answer += await reader.read()
    writer.close()
    return answer


def connect(host: str, port: int) -> str:
    return f"CONNECT {host}:{port} HTTP/1.1\nHost: {host}:{port}\n\n"


async def test_tls_to_a_public_host_passes_unchanged(
    upstream: Upstream, everything_is_public: None
) -> None:
    async with EgressGuard((), resolver=resolve) as guard:
        answer = await ask(guard, connect("meet.example", upstream.port), CLIENT_HELLO)
    assert answer.startswith(b"HTTP/1.1 200 Connection established")
    assert answer.endswith(b"ok")
    assert upstream.got == [CLIENT_HELLO]


async def test_stun_passes_for_relays_over_tcp(
    upstream: Upstream, everything_is_public: None
) -> None:
    async with EgressGuard((), resolver=resolve) as guard:
        await ask(guard, connect("relay.example", upstream.port), STUN_BINDING)
    assert upstream.got == [STUN_BINDING]


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 20, b"SSH-2.0-OpenSSH_9.2\r\n"]
)
async def test_other_protocols_do_not_pass_a_tunnel(
    upstream: Upstream, everything_is_public: None, first: bytes
) -> None:
    async with EgressGuard((), resolver=resolve) as guard:
        await ask(guard, connect("meet.example", upstream.port), first)
        assert guard.refused == {Refusal.NOT_HTTPS: 1}
    assert upstream.got in ([], [b""])


async def test_a_trusted_origin_is_reached_by_plain_http(upstream: Upstream) -> None:
    origin = f"http://127.0.0.1:{upstream.port}"
    async with EgressGuard((origin,), resolver=resolve) as guard:
        request = f"GET {origin}/room?t=1 HTTP/1.1\nHost: x\nProxy-Connection: keep-alive\nA: b\n\n"
        answer = await ask(guard, request)
    assert answer.endswith(b"ok")
    (got,) = upstream.got
    assert got == b"GET /room?t=1 HTTP/1.1\r\nHost: x\r\nA: b\r\nConnection: close\r\n\r\n"


async def test_a_trusted_origin_is_reached_through_a_tunnel(upstream: Upstream) -> None:
    origin = f"http://127.0.0.1:{upstream.port}"
    async with EgressGuard((origin,), resolver=resolve) as guard:
        answer = await ask(guard, connect("127.0.0.1", upstream.port), b"GET /ws HTTP/1.1\r\n\r\n")
    assert answer.endswith(b"ok")


async def test_trust_does_not_reach_to_other_ports_of_the_host(upstream: Upstream) -> None:
    async with EgressGuard(("http://127.0.0.1:1",), resolver=resolve) as guard:
        await ask(guard, connect("127.0.0.1", upstream.port))
        await ask(guard, f"GET http://127.0.0.1:{upstream.port}/ HTTP/1.1\n\n")
        assert guard.refused == {Refusal.PRIVATE_ADDRESS: 1, Refusal.NOT_HTTPS: 1}
    assert upstream.got == []


@pytest.mark.parametrize(
    ("request_text", "status", "refusal"),
    [
        (connect("rebound.example", 443), b"403", Refusal.PRIVATE_ADDRESS),
        (connect("nowhere.example", 443), b"403", Refusal.UNKNOWN_HOST),
        (connect("slow.example", 443), b"502", Refusal.UNREACHABLE),
        ("GET http://meet.example/ HTTP/1.1\n\n", b"403", Refusal.NOT_HTTPS),
        ("GET ftp://meet.example/ HTTP/1.1\n\n", b"403", Refusal.NOT_HTTPS),
        ("GET / HTTP/1.1\n\n", b"403", Refusal.BAD_REQUEST),
        ("CONNECT meet.example HTTP/1.1\n\n", b"403", Refusal.BAD_REQUEST),
        ("CONNECT meet.example:99999 HTTP/1.1\n\n", b"403", Refusal.BAD_REQUEST),
        ("nonsense\n\n", b"403", Refusal.BAD_REQUEST),
    ],
)
async def test_refusals_are_answered_and_counted(
    request_text: str, status: bytes, refusal: Refusal
) -> None:
    async with EgressGuard((), resolver=resolve) as guard:
        answer = await ask(guard, request_text)
        assert answer.split(b" ")[1] == status
        assert guard.refused == {refusal: 1}


async def test_a_server_that_does_not_answer_is_unreachable(everything_is_public: None) -> None:
    async with EgressGuard((), resolver=resolve) as guard:
        # Nobody listens on a port that was free a moment ago.
        free = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = free.sockets[0].getsockname()[1]
        free.close()
        await free.wait_closed()
        answer = await ask(guard, connect("meet.example", port))
        assert answer.startswith(b"HTTP/1.1 502")


async def test_an_endless_request_head_is_cut_off() -> None:
    async with EgressGuard((), resolver=resolve) as guard:
        try:
            answer = await ask(guard, "GET / HTTP/1.1\n" + "A: " + "b" * 200_000 + "\n\n")
        except ConnectionResetError:
            answer = b""
    assert answer == b""


async def test_queries_of_refused_urls_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with EgressGuard((), resolver=resolve) as guard:
        await ask(guard, "GET http://meet.example/path?token=secret HTTP/1.1\n\n")
    assert "meet.example" in caplog.text
    assert "secret" not in caplog.text


async def test_closing_it_before_the_browser_is_no_fault(
    everything_is_public: None, caplog: pytest.LogCaptureFixture
) -> None:
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with EgressGuard((), resolver=resolve) as guard:
        reader, writer = await asyncio.open_connection("127.0.0.1", guard.port)
        writer.write(connect("public.example", port).replace("\n", "\r\n").encode())
        await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    silent.close()
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_connections_of_other_users_are_told_apart() -> None:
    async with EgressGuard((), resolver=resolve) as guard:
        _, writer = await asyncio.open_connection("127.0.0.1", guard.port)
        mine = writer.get_extra_info("sockname")[1]
        assert is_our_connection(mine, guard.port)
        writer.close()
    assert not is_our_connection(1, 2)
