from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.client import SandboxClient
from tests.sandbox.browsers import Browsers
from tests.support.sandbox import SandboxServer, running_sandbox


class ManualClock:
    """Time goes on only when somebody sleeps or `advance` is called."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture(scope="session")
async def client(sandbox_server: SandboxServer) -> AsyncIterator[SandboxClient]:
    async with sandbox_server.client() as client:
        yield client


@pytest.fixture(scope="session")
async def all_browsers() -> AsyncIterator[Browsers]:
    async with Browsers() as browsers:
        yield browsers


@pytest.fixture
async def browsers(all_browsers: Browsers) -> AsyncIterator[Browsers]:
    """Chromium, whose pages are closed after each test."""
    yield all_browsers
    await all_browsers.close_pages()


Until = Callable[..., Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait for a condition, with a bound."""

    async def wait(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while not await condition():
            assert loop.time() < ends, f"{condition.__name__} was not true within {seconds} s"
            await asyncio.sleep(0.05)

    return wait
