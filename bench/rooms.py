"""A sandbox server of its own for the bench, and rooms in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.clock import SystemClock
from core.settings import Settings
from meetbot_server.environment import child_environment, settings_environment
from meetbot_server.stack import answers
from meetbot_server.supervisor import ChildSpec, Supervisor, python
from sandbox.client import SandboxClient
from sandbox.schemas import RoomCreated, RoomOptions

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Sandbox:
    """The server's client. Its CPU is never counted as a bot's."""

    client: SandboxClient

    async def room(self, *, video_toggle: bool) -> RoomCreated:
        """A room of three speakers; without the toggle its cameras cannot be refused."""
        return await self.client.create_room(RoomOptions(incoming_video_toggle=video_toggle))

    async def until_inside(self, room_id: str, name: str, seconds: float = 60) -> None:
        """Wait until somebody called `name` is in the room."""
        async with asyncio.timeout(seconds):
            while not any(
                person.display_name == name
                for person in (await self.client.room(room_id)).participants
            ):
                await asyncio.sleep(POLL_SECONDS)

    async def key_frame_requests(self, room_id: str) -> int:
        """How many key frames viewers have asked the cameras for."""
        return (await self.client.room(room_id)).key_frame_requests


@asynccontextmanager
async def running_sandbox(settings: Settings) -> AsyncIterator[Sandbox]:
    """The sandbox as a child process, as `meetbot-server up` runs it."""
    token = settings.sandbox.admin_token
    if token is None:
        raise ValueError("the bench needs an admin token for its sandbox")
    async with Supervisor(settings.data_dir / "logs", SystemClock()) as supervisor:
        await supervisor.start(
            ChildSpec(
                name="bench-sandbox",
                command=python("-m", "meetbot_server.cli", "sandbox"),
                environment=child_environment(settings_environment(settings)),
                ready=answers(f"{settings.sandbox.origin}/healthz"),
            )
        )
        async with SandboxClient(settings.sandbox.origin, token) as client:
            yield Sandbox(client)
