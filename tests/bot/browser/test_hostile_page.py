"""A hostile meeting page finds no way to addresses that are not public (D19)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.browser.guard import Refusal
from tests.bot.browser.conftest import Bot, Bots, Canary

pytestmark = pytest.mark.browser


async def reach(bot: Bot, host: str, port: int) -> None:
    page = await bot.open("reaching.html", query=f"?target=http://{host}:{port}/")
    assert await page.evaluate("window.tried") == "tried"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0.0.0.0"])  # noqa: S104
async def test_no_request_reaches_loopback(bots: Bots, canary: Canary, host: str) -> None:
    bot = await bots.make()
    await reach(bot, host, canary.tcp_port)
    assert canary.touched == []
    assert bot.guard.refused[Refusal.NOT_HTTPS] >= 5
    assert bot.guard.refused[Refusal.PRIVATE_ADDRESS] >= 2


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "192.168.1.1", "[fd00::1]"])
async def test_no_request_reaches_private_networks(bots: Bots, host: str) -> None:
    bot = await bots.make()
    await reach(bot, host, 8443)
    assert bot.guard.refused[Refusal.NOT_HTTPS] >= 5
    assert bot.guard.refused[Refusal.PRIVATE_ADDRESS] >= 2
    assert bot.guard.refused[Refusal.UNREACHABLE] == 0


async def test_a_name_that_leads_to_loopback_is_refused(bots: Bots, canary: Canary) -> None:
    bot = await bots.make()
    await reach(bot, "rebound.example", canary.tcp_port)
    assert canary.touched == []
    assert bot.guard.refused[Refusal.PRIVATE_ADDRESS] >= 2


# The ways in which page code can get hold of a constructor of connections.
CONNECTIONS = ["main", "prefixed", "prototype", "subclass", "frame", "fresh"]


async def attempt(bot: Bot, *connection: str, **wish: Any) -> None:
    wish["connection"] = connection or ["main"]
    page = await bot.open("calling.html")
    assert await page.evaluate("(wish) => window.attempt(wish)", wish) == "attempted"


@pytest.mark.parametrize("way", ["candidate", "sdp", "server", "reconfigured"])
async def test_a_trusted_page_may_call_loopback(
    trusting_bots: Bots, canary: Canary, way: str
) -> None:
    """The control: the attempts below do work where they are allowed."""
    bot = await trusting_bots.make()
    await attempt(bot, way=way, address="127.0.0.1", port=canary.udp_port)
    async with asyncio.timeout(5):
        await canary.stirred.wait()
    assert canary.touched[0].startswith("udp")


@pytest.mark.parametrize("way", ["candidate", "sdp", "server", "reconfigured"])
async def test_no_call_reaches_loopback(bots: Bots, canary: Canary, way: str) -> None:
    bot = await bots.make()
    await attempt(bot, *CONNECTIONS, way=way, address="127.0.0.1", port=canary.udp_port)
    assert canary.touched == []


@pytest.mark.parametrize("connection", ["main", "subclass", "fresh"])
async def test_no_call_reaches_loopback_when_the_page_breaks_builtins(
    bots: Bots, canary: Canary, connection: str
) -> None:
    bot = await bots.make()
    await attempt(bot, connection, way="patched", address="127.0.0.1", port=canary.udp_port)
    assert canary.touched == []


DOCUMENTS = [
    "sandboxed",
    "sandboxed-blob",
    "sandboxed-foreign",
    "data",
    "blob",
    "foreign",
    "nested",
    "popup",
]


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_no_call_from_any_kind_of_document_reaches_loopback(
    bots: Bots, canary: Canary, kind: str
) -> None:
    """Other documents may live in other processes, where init scripts come by another way."""
    bot = await bots.make()
    page = await bot.open("calling.html")
    wish = {"way": "server", "address": "127.0.0.1", "port": canary.udp_port}
    told = await page.evaluate("([kind, wish]) => window.attemptIn(kind, wish)", [kind, wish])
    assert told == "attempted"
    assert canary.touched == []


@pytest.mark.parametrize("address", ["localhost", "canary.example", "127.1", "2130706433"])
async def test_names_of_ice_servers_lead_nowhere(bots: Bots, canary: Canary, address: str) -> None:
    bot = await bots.make()
    await attempt(bot, way="server", address=address, port=canary.udp_port)
    assert canary.touched == []


async def test_relays_over_tcp_pass_the_guard(bots: Bots, canary: Canary) -> None:
    bot = await bots.make()
    await attempt(bot, way="turn-tcp", address="relay.example", port=canary.tcp_port)
    assert canary.touched == []
    assert bot.guard.refused[Refusal.PRIVATE_ADDRESS] >= 1


async def test_popups_are_closed(bots: Bots) -> None:
    bot = await bots.make()
    page = await bot.open("quiet.html")
    async with asyncio.timeout(10):
        async with page.context.expect_page() as opening:
            await page.evaluate(
                "() => { window.open('https://evil.test/', '_blank', 'noopener'); }"
            )
        popup = await opening.value
        if not popup.is_closed():
            await popup.wait_for_event("close")
    assert page.context.pages == [page]
