"""Sessions of real bots in rooms of the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.control import Outcome, Verb
from bot.returning import Past
from bot.session import MeetingSession
from core.clock import SystemClock
from core.ids import new_id
from core.jobs.spec import AutoLeavePolicy, JobSpec, RecordingOptions
from core.settings import BotSettings, SandboxSettings, Settings
from core.storage.local import LocalStorage
from sandbox.client import SandboxClient
from sandbox.schemas import RoomCreated, RoomOptions
from tests.sandbox.browsers import Browsers
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


@pytest.fixture(scope="session")
async def all_browsers() -> AsyncIterator[Browsers]:
    async with Browsers() as browsers:
        yield browsers


@pytest.fixture
async def browsers(all_browsers: Browsers) -> AsyncIterator[Browsers]:
    """People's Chromium, whose pages are closed after each test."""
    yield all_browsers
    await all_browsers.close_pages()


@dataclass
class Sent:
    """A bot that is about to go to a room; enter `session` to start it."""

    session: MeetingSession
    channel: MemoryChannel
    room: RoomCreated | None
    work_dir: Path
    storage: LocalStorage

    async def tell(self, verb: Verb, payload: dict[str, Any] | None = None) -> str:
        """Give a command and wait until it is done; its id."""
        command = await self.channel.issue(verb, payload)
        await self.channel.until(lambda channel: command in channel.settled, 40)
        assert self.channel.settled[command][0] is Outcome.DONE, self.channel.settled[command]
        return command

    async def put_out(self, kind: str, data: bytes, mime_type: str, *, loop: bool = False) -> str:
        """What the API does with media: keep the bytes with the job, then tell the bot."""
        key = f"recordings/{self.work_dir.name}/.media/{new_id('cmd')}"
        self.storage.put_bytes(key, data, mime_type)
        return await self.tell(
            Verb.OUTPUT_MEDIA, {"kind": kind, "key": key, "mimeType": mime_type, "loop": loop}
        )


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
        past: Past | None = None,
        **job: Any,
    ) -> Sent:
        """A bot on its way to a new room, or to `room_url`; after earlier attempts with `past`."""
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
        if past is not None:
            channel.status = past.status
        storage = LocalStorage(
            self._data_dir / "storage",
            files_url="http://127.0.0.1:9",
            link_secret=SecretStr("a long and random text"),
        )
        session = MeetingSession(spec, settings, channel, SystemClock(), past, storage)
        return Sent(session, channel, created, settings.work_dir / spec.job_id, storage)


@pytest.fixture
def senders(sandbox: SandboxServer, client: SandboxClient, tmp_path: Path) -> Senders:
    return Senders(sandbox, client, tmp_path)
