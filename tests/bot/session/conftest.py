"""Sessions of real bots in rooms of the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.session import MeetingSession
from core.clock import SystemClock
from core.ids import new_id
from core.jobs.spec import AutoLeavePolicy, JobSpec, RecordingOptions
from core.settings import BotSettings, SandboxSettings, Settings
from sandbox.client import SandboxClient
from sandbox.schemas import RoomCreated, RoomOptions
from tests.support.channel import MemoryChannel
from tests.support.sandbox import SandboxServer, running_sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
async def client(sandbox: SandboxServer) -> AsyncIterator[SandboxClient]:
    async with sandbox.client() as client:
        yield client


@dataclass
class Sent:
    """A bot that is about to go to a room; enter `session` to start it."""

    session: MeetingSession
    channel: MemoryChannel
    room: RoomCreated | None
    work_dir: Path


class Senders:
    """Makes bots with the settings of a test machine; keyword arguments go to the job."""

    def __init__(self, sandbox: SandboxServer, client: SandboxClient, data_dir: Path) -> None:
        self._sandbox = sandbox
        self._client = client
        self._data_dir = data_dir

    async def send(
        self,
        room: RoomOptions | None = None,
        *,
        bot: dict[str, Any] | None = None,
        auto_leave: AutoLeavePolicy | None = None,
        video: Any = "off",
        origin: str | None = None,
        **job: Any,
    ) -> Sent:
        """A bot on its way to a new room, or to `room_url`."""
        created = None
        if "room_url" not in job:
            created = await self._client.create_room(room or RoomOptions(video=False))
            job["room_url"] = created.guest_url
        spec = JobSpec(
            **{
                "job_id": new_id("job"),
                "fence": 1,
                "platform": "sandbox",
                "driver": "sandbox",
                "meeting_url": job["room_url"],
                "display_name": "meetbot",
                "livemode": False,
                "recording": RecordingOptions(video=video),
                "auto_leave": auto_leave or AutoLeavePolicy(),
                **job,
            }
        )
        settings = Settings(
            data_dir=self._data_dir,
            sandbox=SandboxSettings(origin=origin or self._sandbox.origin),
            bot=BotSettings(
                **{
                    "unsafe_no_sandbox": True,
                    "loopback_webrtc": True,
                    "join_timeout_seconds": 15,
                    **(bot or {}),
                }
            ),
        )
        channel = MemoryChannel()
        session = MeetingSession(spec, settings, channel, SystemClock())
        return Sent(session, channel, created, settings.work_dir / spec.job_id)


@pytest.fixture
def senders(sandbox: SandboxServer, client: SandboxClient, tmp_path: Path) -> Senders:
    return Senders(sandbox, client, tmp_path)
