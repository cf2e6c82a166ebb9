"""The channel that bot tests use behaves like the real ones (D3)."""

from __future__ import annotations

import pytest

from bot.control import Outcome
from core.jobs.lifecycle import Status
from tests.support.channel import MemoryChannel
from tests.support.channel_conformance import ChannelConformance, Line

pytestmark = pytest.mark.unit


class TestMemoryChannel(ChannelConformance):
    @pytest.fixture
    def line(self) -> Line:
        channel = MemoryChannel()

        async def take_over() -> None:
            channel.outdated = True

        async def status() -> Status:
            return channel.status

        async def answer(command_id: str) -> tuple[Outcome, str] | None:
            return channel.settled.get(command_id)

        return Line(channel, channel.issue, take_over, status, answer)
