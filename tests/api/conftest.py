"""The real application over ASGI, with the embedded database and jobs run in process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import create_app
from core.accounts.service import mint_key
from core.database import Database
from core.errors import Unavailable
from core.jobs import commands
from core.jobs.lifecycle import Status
from core.jobs.models import Job, JobCommand
from core.jobs.verbs import Outcome
from core.secrets import SecretBox
from core.settings import ApiSettings, Settings, StorageSettings
from core.storage.base import Storage
from tests.support.clock import ManualClock
from tests.support.jobs import JobBook
from tests.support.ports import free_port

MEET = "https://meet.google.com/abc-defg-hij"
ROOM = "http://127.0.0.1:8081/r/room1?t=guest"


@dataclass
class LoggingDispatcher:
    """Takes submissions and keeps them; `down` makes it as unavailable as a stopped Prefect."""

    down: bool = False
    submitted: dict[str, datetime] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    async def submit(self, job_id: str, due: datetime, tags: Sequence[str]) -> str:
        if self.down:
            raise Unavailable("Prefect is down.")
        self.submitted[job_id] = due
        self.tags[job_id] = list(tags)
        return f"run-{job_id}"

    async def cancel(self, flow_run_id: str) -> None:
        if self.down:
            raise Unavailable("Prefect is down.")
        self.cancelled.append(flow_run_id)


async def public(host: str, port: int) -> Sequence[str]:
    """Names resolve without a network; those of the inside world to inside addresses."""
    if host.endswith(".internal.example"):
        return ("10.0.0.7",)
    return (host,) if host[0].isdigit() or ":" in host else ("93.184.215.14",)


@dataclass
class Api:
    """A client with a live key and one with a test key of the same team."""

    app: FastAPI
    live: httpx.AsyncClient
    test: httpx.AsyncClient
    anonymous: httpx.AsyncClient
    dispatcher: LoggingDispatcher
    book: JobBook

    @property
    def storage(self) -> Storage:
        storage: Storage = self.app.state.services.storage
        return storage

    async def live_job(self, status: Status = Status.RECORDING, **changes: Any) -> Job:
        """A job whose bot is in a meeting, of a platform that has all verbs."""
        platform = str(changes.pop("platform", "jitsi"))
        job = await self.book.add(**{"platform": platform, "driver": platform} | changes)
        await self.book.bring_to(job, status)
        return await self.book.read(job)

    async def told(self, job: Job) -> list[JobCommand]:
        """What the job's bot was told and has not settled."""
        async with self.book.database.begin() as session:
            return list(await commands.claim_open(session, job.id, job.fence))

    async def settle(self, command_id: str, outcome: Outcome, **more: Any) -> None:
        """What a bot answers."""
        async with self.book.database.begin() as session:
            await commands.settle(session, command_id, outcome, now=self.book.now, **more)

    async def create(self, **body: Any) -> dict[str, Any]:
        answer = await self.live.post("/api/v1/jobs", json={"meetingUrl": MEET} | body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created


@pytest.fixture
def trusted_port() -> int:
    """A loopback port that the operator trusts, and that nobody listens on yet."""
    return free_port()


@pytest.fixture
def settings(
    database_url: SecretStr, encryption_key: SecretStr, tmp_path: Path, trusted_port: int
) -> Settings:
    return Settings(
        data_dir=tmp_path,
        storage=StorageSettings(link_secret=SecretStr("a secret for links")),
        database_url=database_url,
        encryption_keys=(encryption_key,),
        api=ApiSettings(
            admin_token=SecretStr("an operator's secret"),
            intake_tokens=(SecretStr("a mail worker's secret"),),
        ),
        trusted_origins=("http://127.0.0.1:9000", f"http://127.0.0.1:{trusted_port}"),
    )


@pytest.fixture
async def api(
    settings: Settings, database: Database, box: SecretBox, clock: ManualClock
) -> AsyncIterator[Api]:
    async with api_with(settings, database, box, clock) as opened:
        yield opened


@asynccontextmanager
async def api_with(
    settings: Settings, database: Database, box: SecretBox, clock: ManualClock
) -> AsyncIterator[Api]:
    """The API with other settings."""
    book = await JobBook.open(database, box, clock)
    dispatcher = LoggingDispatcher()
    app = create_app(settings, clock=clock, dispatcher=lambda _: dispatcher, resolver=public)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        client(transport, await key_of(book, livemode=True)) as live,
        client(transport, await key_of(book, livemode=False)) as test,
        client(transport, None) as anonymous,
    ):
        yield Api(app, live, test, anonymous, dispatcher, book)


async def key_of(book: JobBook, *, livemode: bool) -> str:
    async with book.database.begin() as session:
        _, key = await mint_key(session, book.team_id, "test", livemode=livemode, now=book.now)
    return key.get_secret_value()


def client(transport: httpx.ASGITransport, key: str | None) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(
        transport=transport, base_url="http://api.example", headers=headers, timeout=10
    )
