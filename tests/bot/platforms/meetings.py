"""Whole runs on replicas: the flow's own stages, the real bot and job store, in one browser.

What a stack adds is left out: Prefect, and a browser for each bot. As the replicas' people say
nothing, a bot that was in the room has the recording of another meeting in its work folder.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.async_api import Browser, BrowserContext, Page
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from sqlmodel import col, select

import bot.evidence
import bot.session
import bot.visit
import flows.meeting
from bot.browser.guard import EgressGuard
from bot.browser.launch import BrowserOptions
from bot.platforms.driver import DriverContext
from core.clock import SystemClock
from core.errors import JobCancelled, MeetingError
from core.jobs import service
from core.jobs.lifecycle import Status
from core.jobs.models import Job, Transition
from core.jobs.spec import AutoLeavePolicy, RecordingOptions
from core.platforms.registry import DetectionContext, detect
from core.recordings.journal import JOURNAL_NAME
from core.settings import BotSettings, PrefectSettings, Settings
from core.storage.local import LocalStorage
from flows.resources import Resources
from flows.run import MeetingRun
from tests.bot.recording.writing import JOB
from tests.replicas.common.rooms import ReplicaRoom, Scenario
from tests.replicas.common.server import Replicas
from tests.replicas.platforms import REPLICAS, ReplicaPlatform
from tests.support.jobs import JobBook
from tests.support.prefect_server import AUTH

STEP_SECONDS = 50.0
NAME = "Notes of Ada"
# What a test does at a moment of a job.
Happening = Callable[[ReplicaRoom, Job], Awaitable[None]]


class NoPost:
    """Webhooks stay in their rows here."""

    async def deliver_job(self, job_id: str) -> None:
        """Send nothing."""


async def loopback(host: str, port: int) -> Sequence[str]:
    """The replicas' internet: every name is this machine."""
    return ["127.0.0.1"]


class SharedChromium:
    """As `bot.browser.launch.Chromium`: a context of one browser that all bots share."""

    guarded = False

    def __init__(self, browser: Browser, settings: BotSettings, options: BrowserOptions) -> None:
        self.gone = asyncio.Event()
        self.crashed = asyncio.Event()
        self._browser = browser
        self._options = options
        self._context: BrowserContext | None = None

    @property
    def alive(self) -> bool:
        return self._context is not None

    async def __aenter__(self) -> SharedChromium:
        width, height = self._options.viewport
        self._context = await self._browser.new_context(
            bypass_csp=True,
            ignore_https_errors=True,
            locale="en-US",
            viewport={"width": width, "height": height},
            proxy={"server": self._options.proxy_url} if self.guarded else None,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        context, self._context = self._context, None
        if context is not None:
            await context.close()

    async def new_page(self) -> Page:
        assert self._context is not None
        before = list(self._context.pages)
        page = await self._context.new_page()
        for other in before:
            await other.close()
        return page

    def kill(self) -> None:
        """The others live on."""


@dataclass
class Attended:
    """How a job went: its row at the end, the way there, and what its storage holds.

    `left`: its work folder is still there. `page` is what Prefect shows of its run, where one was.
    """

    job: Job
    statuses: list[Status]
    replica: ReplicaRoom
    failure: JobCancelled | MeetingError | None
    kept: dict[str, bytes]
    left: bool
    page: str = ""

    @property
    def evidence(self) -> dict[str, bytes]:
        return self._below("evidence/")

    def _below(self, folder: str) -> dict[str, bytes]:
        found = ((name, data) for name, data in self.kept.items() if name.startswith(folder))
        return {name.removeprefix(folder): data for name, data in found}

    @property
    def amount(self) -> Decimal | None:
        return self.job.amount_usd


@dataclass
class Meetings:
    """Sends bots to replicas. `recorded` makes the recording of so many seconds."""

    replicas: Replicas
    book: JobBook
    folder: Path
    recorded: Callable[[int], Path]

    @property
    def port(self) -> str:
        """Where the replicas are for whoever does not take every name for this machine's."""
        return f":{self.replicas.port}"

    async def attend(
        self,
        platform: ReplicaPlatform,
        scenario: Scenario,
        *,
        seconds: int,
        on_lobby: Happening,
        in_room: Happening,
        password: str | None = None,
        entry_delay: int = 30,
        step_seconds: float = STEP_SECONDS,
        on_bot_detected: bool = False,
    ) -> Attended:
        """One job from `queued` to its end, as its flow takes it there (one attempt to join).

        Args:
            on_lobby: happens when the job says that its bot is in the lobby.
            in_room: happens when it says that it is in the room; it makes the bot's stay end.
        """
        job, replica = await self._job(
            platform,
            scenario,
            password=password,
            leaving=AutoLeavePolicy(
                after_entry_delay_seconds=entry_delay, on_bot_detected=on_bot_detected
            ),
        )
        resources = self._resources(step_seconds)
        async with MeetingRun(resources, job.id, "process-1") as run:
            await run.dispatch()
            watching = asyncio.create_task(self._act(job, replica, on_lobby, in_room))
            going = asyncio.create_task(self._go(run, job, seconds))
            # Nobody would tell the bot to leave when something is wrong in the room.
            watching.add_done_callback(lambda done: _end_with(done, going))
            try:
                failure = await going
            finally:
                watching.cancel()
                (wrong,) = await asyncio.gather(watching, return_exceptions=True)
                if isinstance(wrong, Exception):
                    raise wrong
            await run.meter()
        return await self._attended(job, replica, failure, resources)

    async def by_flow(
        self,
        platform: ReplicaPlatform,
        scenario: Scenario,
        prefect: PrefectSettings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Attended:
        """A job that Prefect's own flow takes to its end, retries and all; nobody acts in it."""
        job, replica = await self._job(platform, scenario)
        resources = self._resources(STEP_SECONDS)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Resources]:
            yield resources

        monkeypatch.setattr(flows.meeting, "open_resources", opened)
        # The pauses between attempts are for servers, and these are ours.
        at_once = flows.meeting.join.with_options(retry_delay_seconds=0)
        monkeypatch.setattr(flows.meeting, "join", at_once)
        where = {PREFECT_API_URL: prefect.api_url, PREFECT_API_AUTH_STRING: AUTH}
        with temporary_settings(where):
            await flows.meeting.meeting(job.id, return_state=True)
            async with get_client() as client:
                pages = await client.read_artifacts(
                    artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["result"]))
                )
        went = await self._attended(job, replica, None, resources)
        went.page = next(str(one.data) for one in pages if job.id in str(one.data))
        return went

    async def _job(
        self,
        platform: ReplicaPlatform,
        scenario: Scenario,
        *,
        password: str | None = None,
        leaving: AutoLeavePolicy = AutoLeavePolicy(),  # noqa: B008 - frozen
    ) -> tuple[Job, ReplicaRoom]:
        name, replica = self.replicas.make(platform, scenario)
        link = platform.url.format(room=name)
        secrets = {"meetingPassword": SecretStr(password)} if password is not None else {}
        job = await self.book.add(
            platform=platform.slug,
            driver=platform.slug,
            meeting_url=link,
            room_url=detect(link, context=DetectionContext()).url,
            display_name=NAME,
            recording=RecordingOptions(video="off"),
            auto_leave=leaving,
            secrets=secrets,
        )
        return job, replica

    async def _act(
        self,
        job: Job,
        replica: ReplicaRoom,
        on_lobby: Happening,
        in_room: Happening,
    ) -> None:
        """Looks at the job only once its page has said so: rows of jobs are dear to poll."""
        if replica.scenario.lobby or replica.scenario.host_absent:
            await replica.knocked.wait()
            await self._until(job, Status.ENTERING_LOBBY)
            await on_lobby(replica, job)
        await replica.present.wait()
        await self._until(job, Status.IN_MEETING, Status.RECORDING)
        await in_room(replica, job)

    async def _until(self, job: Job, *statuses: Status) -> None:
        while (await self.book.read(job)).status not in statuses:
            await asyncio.sleep(0.1)

    async def _go(
        self, run: MeetingRun, job: Job, seconds: int
    ) -> JobCancelled | MeetingError | None:
        """Into the room, out again, and everything delivered; or why not."""
        try:
            await run.join()
            await run.capture()
            await self._deliver(run, job, seconds)
        except (JobCancelled, MeetingError) as error:
            run.outcome.fail(error)
            return error
        return None

    async def _deliver(self, run: MeetingRun, job: Job, seconds: int) -> None:
        work_dir = run.work_dir
        for attempt in work_dir.glob("[0-9]*"):
            shutil.rmtree(attempt)
        recorded = await asyncio.to_thread(self.recorded, seconds)
        shutil.copytree(recorded, work_dir, dirs_exist_ok=True)
        journal = work_dir / "1" / JOURNAL_NAME
        journal.write_text(journal.read_text().replace(JOB, job.id))
        await run.finalize()
        await run.upload()
        await run.transcribe()

    def _resources(self, step_seconds: float) -> Resources:
        return Resources(
            settings=Settings(
                data_dir=self.folder,
                trusted_origins=tuple(
                    f"{one.origin}{port}" for one in REPLICAS for port in ("", self.port)
                ),
                bot=BotSettings(
                    join_timeout_seconds=step_seconds,
                    navigation_timeout_seconds=STEP_SECONDS,
                    network_grace_seconds=1,
                    # A machine that is busy renews late; no second process is about.
                    lease_seconds=120,
                ),
            ),
            clock=SystemClock(),
            database=self.book.database,
            box=self.book.box,
            storage=LocalStorage(
                self.folder / "bucket", files_url="http://files", link_secret=SecretStr("s")
            ),
            courier=cast("Any", NoPost()),
        )

    async def _attended(
        self,
        job: Job,
        replica: ReplicaRoom,
        failure: JobCancelled | MeetingError | None,
        resources: Resources,
    ) -> Attended:
        async with self.book.database.begin() as session:
            moves = select(Transition).where(Transition.job_id == job.id)
            statuses = [
                move.status for move in await session.exec(moves.order_by(col(Transition.seq)))
            ]
        prefix = f"recordings/{job.id}/"
        kept = {
            one.key.removeprefix(prefix): resources.storage.get_bytes(one.key)
            for one in resources.storage.list(prefix)
        }
        left = (resources.settings.work_dir / job.id).exists()
        return Attended(await self.book.read(job), statuses, replica, failure, kept, left)

    async def leave(self, job: Job) -> None:
        """What a customer does."""
        async with self.book.database.begin() as session:
            await service.request_leave(session, job.id, now=SystemClock().now())

    async def cancel(self, job: Job) -> None:
        """The same with second thoughts."""
        async with self.book.database.begin() as session:
            await service.request_cancel(session, job.id, now=SystemClock().now())


def _end_with(watching: asyncio.Task[None], going: asyncio.Task[Any]) -> None:
    if not watching.cancelled() and watching.exception() is not None:
        going.cancel()


def guard_egress(monkeypatch: pytest.MonkeyPatch) -> list[EgressGuard]:
    """The bots' browsers reach the replicas by the guard only; the guards that were made."""
    made: list[EgressGuard] = []

    def make(trusted: Sequence[str]) -> EgressGuard:
        made.append(EgressGuard(trusted, resolver=loopback))
        return made[-1]

    monkeypatch.setattr(bot.session, "EgressGuard", make)
    monkeypatch.setattr(SharedChromium, "guarded", True)
    return made


def share_browser(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bots get contexts of `browser`, and every name is this machine to them."""
    # Six bots at once in a lane that gives way to others.
    monkeypatch.setattr(bot.evidence, "TIMEOUT_SECONDS", 60.0)
    monkeypatch.setattr(bot.visit, "Chromium", partial(SharedChromium, browser))
    monkeypatch.setattr(bot.visit, "DriverContext", partial(DriverContext, resolver=loopback))
