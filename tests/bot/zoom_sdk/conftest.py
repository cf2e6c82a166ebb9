"""A bot that joins by the stub of Zoom's SDK."""

from __future__ import annotations

import asyncio
import importlib.machinery
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import SecretStr

from bot.session import MeetingSession
from bot.zoom_sdk.binding import PACKAGE
from core.clock import SystemClock
from core.ids import new_id
from core.jobs.spec import JobSpec, RecordingOptions
from core.platforms.zoom_settings import ZoomSettings
from core.settings import Settings
from tests.bot.zoom_sdk.stub import StubSdk
from tests.support.channel import MemoryChannel

URL = "https://acme.zoom.us/j/9123456789?pwd=hashed.1"
ZOOM = ZoomSettings(
    engine="sdk",
    client_id="an app",
    client_secret=SecretStr("a long and random text of 32 bytes"),
    permission_seconds=1,
)


class _NoPump:
    """The stub calls back by itself."""

    async def turn(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubSdk]:
    """The stub, where the package would be."""
    stub = StubSdk()
    module: Any = ModuleType(PACKAGE)
    module.__spec__ = importlib.machinery.ModuleSpec(PACKAGE, None)
    monkeypatch.setitem(sys.modules, PACKAGE, module)
    monkeypatch.setattr("bot.zoom_sdk.binding.load", lambda: stub)
    monkeypatch.setattr("bot.engines.GLibPump", _NoPump)
    yield stub
    assert stub.starts == stub.stops, "it was left running"


@pytest.fixture
def spec() -> JobSpec:
    return JobSpec(
        job_id=new_id("job"),
        fence=1,
        platform="zoom",
        driver="zoom",
        meeting_url=URL,
        room_url=URL,
        display_name="meetbot",
        livemode=True,
        recording=RecordingOptions(video="tab"),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, zoom=ZOOM)


@pytest.fixture
def channel() -> MemoryChannel:
    return MemoryChannel()


@pytest.fixture
def session(spec: JobSpec, settings: Settings, channel: MemoryChannel) -> MeetingSession:
    return MeetingSession(spec, settings, channel, SystemClock())
