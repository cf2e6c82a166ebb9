"""A bot's browser as the session starts it, on pages served as if from the internet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route
from pydantic import BaseModel

from bot.browser.bridge import Bridge, Budget
from bot.browser.guard import EgressGuard
from bot.browser.launch import BrowserOptions, Chromium
from core.clock import SystemClock
from core.settings import BotSettings

PAGES = Path(__file__).parent / "pages"
PARTS = Path(__file__).parent / "parts"
ORIGIN = "https://meet.test"
OTHER_ORIGIN = "https://evil.test"
SUB_ORIGIN = "https://widgets.meet.test"

SETTINGS = BotSettings(unsafe_no_sandbox=True, loopback_webrtc=True)


class Note(BaseModel):
    """What the test part says (kind `note`)."""

    text: str


@dataclass
class Canary:
    """Sockets on loopback that nobody may reach: `touched` tells who tried."""

    tcp_port: int = 0
    udp_port: int = 0
    touched: list[str] = field(default_factory=list)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def touch(self, how: str) -> None:
        self.touched.append(how)
        self.stirred.set()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, canary: Canary) -> None:
        self._canary = canary

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._canary.touch(f"udp {data[:4].hex()}")


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    bird = Canary()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bird.touch("tcp")
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(bird), local_addr=("127.0.0.1", 0), family=socket.AF_INET
    )
    bird.tcp_port = server.sockets[0].getsockname()[1]
    bird.udp_port = transport.get_extra_info("sockname")[1]
    yield bird
    transport.close()
    server.close()


@dataclass
class Bot:
    """A browser behind its guard. `heard` is what the test part said through the bridge."""

    chromium: Chromium
    guard: EgressGuard
    bridge: Bridge
    page: Page
    heard: list[str]
    spoke: asyncio.Condition

    async def open(
        self,
        html: str,
        *,
        parts: Sequence[str] = ("notes.js",),
        config: dict[str, Any] | None = None,
        query: str = "",
    ) -> Page:
        """Attach the bridge and load a page of `pages/` as https://meet.test/."""
        await self.bridge.attach(self.page, [PARTS / name for name in parts], config or {})
        for origin in (ORIGIN, OTHER_ORIGIN, SUB_ORIGIN):
            await self.page.route(f"{origin}/**", lambda route: _serve(route, html))
        await self.page.goto(f"{ORIGIN}/{query}")
        return self.page

    async def hears(self, text: str, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds), self.spoke:
            await self.spoke.wait_for(lambda: text in self.heard)


async def _serve(route: Route, html: str) -> None:
    name = route.request.url.split("/", 3)[3].partition("?")[0] or html
    await route.fulfill(path=PAGES / name, content_type="text/html")


async def _resolve(host: str, port: int) -> Sequence[str]:
    """The test's internet: every name of it leads to loopback, as a rebinding attacker's would."""
    return ["127.0.0.1"]


class Bots:
    """Makes bots; the browser is shared, pages and bridges are not."""

    def __init__(self, chromium: Chromium, guard: EgressGuard) -> None:
        self._chromium = chromium
        self._guard = guard

    async def make(self, budget: Budget | None = None) -> Bot:
        bridge = Bridge(SystemClock(), budget)
        heard: list[str] = []
        spoke = asyncio.Condition()
        bot = Bot(
            self._chromium, self._guard, bridge, await self._chromium.new_page(), heard, spoke
        )

        async def announce() -> None:
            async with spoke:
                spoke.notify_all()

        pending: set[asyncio.Task[None]] = set()

        def hear(note: Note) -> None:
            heard.append(note.text)
            task = asyncio.ensure_future(announce())
            pending.add(task)
            task.add_done_callback(pending.discard)

        bridge.on("note", Note, hear)
        self._guard.refused.clear()
        return bot


@pytest.fixture(scope="session")
async def bots() -> AsyncIterator[Bots]:
    """Bots in one browser that trusts no origin."""
    async with (
        EgressGuard((), resolver=_resolve) as guard,
        Chromium(SETTINGS, BrowserOptions(proxy_url=guard.url)) as chromium,
    ):
        yield Bots(chromium, guard)


@pytest.fixture(scope="session")
async def trusting_bots() -> AsyncIterator[Bots]:
    """Bots in a browser that trusts the origin of the pages: what is refused elsewhere works."""
    async with (
        EgressGuard((ORIGIN,), resolver=_resolve) as guard,
        Chromium(
            SETTINGS, BrowserOptions(proxy_url=guard.url, trusted_origins=(ORIGIN,))
        ) as chromium,
    ):
        yield Bots(chromium, guard)
