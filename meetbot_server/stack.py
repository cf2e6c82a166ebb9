"""All processes of a stack on one machine, in the order in which they need each other."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from core.clock import Clock
from core.database import migrate
from core.postgres import PrivatePostgres
from core.settings import Settings
from meetbot_server import environment, prefect_setup, secrets_file
from meetbot_server.database_keeper import kept
from meetbot_server.supervisor import ChildSpec, Supervisor, python

LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
# Prefect's first start migrates its database; on a loaded machine that takes its time.
READY_SECONDS: Final = 150


class AlreadyRunning(Exception):
    """Another stack holds this data folder, or something else its ports."""


@dataclass(frozen=True)
class Databases:
    meetbot: SecretStr
    prefect: SecretStr


class Stack:
    """PostgreSQL (private, or given by URL), Prefect, API, files, sandbox, watcher, one worker."""

    def __init__(
        self, settings: Settings, clock: Clock, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._given = settings
        self._clock = clock
        self._say = say
        self._exit = AsyncExitStack()
        self.settings = settings
        self.supervisor = Supervisor(settings.data_dir / "logs", clock)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit.aclose()

    async def _start(self) -> None:
        data_dir = self._given.data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        self._exit.enter_context(_exclusive(data_dir / "up.lock"))
        made = secrets_file.load_or_make(data_dir)
        self.settings = local(secrets_file.with_secrets(self._given, made))
        self._refuse_taken_ports()
        databases = await self._start_postgres()
        self.settings = self.settings.model_copy(update={"database_url": databases.meetbot})
        await self._exit.enter_async_context(self.supervisor)
        # The worker warms up while Prefect starts, and waits for its work pool.
        worker = self._ours(
            "worker",
            _file_ready(_no_mark(self.settings.worker_mark)),
            ready_seconds=READY_SECONDS,
            stop_seconds=self.settings.worker.stop_seconds,
        )
        await _together(
            self._start_prefect(databases),
            self._start_ours(databases),
            self.supervisor.start(worker),
        )

    def _refuse_taken_ports(self) -> None:
        for name, host, port in self._addresses():
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((host, port)) == 0:
                    raise AlreadyRunning(
                        f"Port {port} on {host} ({name}) is in use. Stop what runs there, or "
                        f"choose another with MEETBOT_{name.upper()}__PORT."
                    )

    def _addresses(self) -> list[tuple[str, str, int]]:
        s = self.settings
        return [
            ("api", s.api.host, s.api.port),
            ("prefect", s.prefect.host, s.prefect.port),
            ("sandbox", s.sandbox.host, s.sandbox.port),
            ("storage", s.storage.files_host, s.storage.files_port),
        ]

    async def _start_postgres(self) -> Databases:
        url = self.settings.database_url
        if url is not None:
            # Prefect gets a database beside ours on the same server.
            theirs = urlsplit(url.get_secret_value())
            prefect = theirs._replace(scheme="postgresql+asyncpg", path="/prefect").geturl()
            return Databases(url, SecretStr(prefect))
        self._say("starting PostgreSQL")
        server = PrivatePostgres(self.settings.data_dir / "postgres")
        urls = await asyncio.to_thread(server.start)
        await self._exit.enter_async_context(kept(server, self._clock))
        return Databases(SecretStr(urls.meetbot), SecretStr(urls.prefect))

    async def _start_prefect(self, databases: Databases) -> None:
        settings = self.settings
        self._say("starting Prefect")
        await self.supervisor.start(
            ChildSpec(
                name="prefect",
                command=python(
                    *("-m", "prefect", "server", "start"),
                    *("--host", settings.prefect.host, "--port", str(settings.prefect.port)),
                ),
                environment=environment.child_environment(
                    environment.prefect_server_environment(
                        settings, databases.prefect.get_secret_value()
                    )
                ),
                ready=lambda: prefect_setup.prefect_ready(settings),
                ready_seconds=READY_SECONDS,
            )
        )
        await prefect_setup.register(
            settings,
            environment.child_environment(environment.prefect_environment(settings)),
        )

    async def _start_ours(self, databases: Databases) -> None:
        settings = self.settings
        self._say("preparing the database")
        # Here and not as a child of its own: that would only import everything once more.
        await migrate(databases.meetbot)
        self._say("starting API, files, sandbox, watcher and worker")
        files = f"http://{settings.storage.files_host}:{settings.storage.files_port}"
        api = f"http://{settings.api.host}:{settings.api.port}"
        children = [
            self._ours("files", answers(f"{files}/healthz")),
            self._ours("sandbox", answers(f"{settings.sandbox.origin}/healthz")),
            self._ours("api", answers(f"{api}/healthz")),
            self._ours("watch", _file_ready(_no_mark(settings.watch_mark))),
        ]
        if settings.intake.receives:
            # It may start at any time: what it receives waits for the API.
            children.append(self._ours("intake", _at_once))
        await _together(*(self.supervisor.start(child) for child in children))

    def _ours(
        self,
        name: str,
        ready: Callable[[], Awaitable[bool]],
        *,
        ready_seconds: float = 60,
        stop_seconds: float = 20,
    ) -> ChildSpec:
        return ChildSpec(
            name=name,
            command=python("-m", "meetbot_server.cli", name),
            environment=self.child_environment(),
            ready=ready,
            ready_seconds=ready_seconds,
            stop_seconds=stop_seconds,
        )

    def child_environment(self) -> dict[str, str]:
        """The environment of our own processes."""
        return environment.child_environment(
            environment.settings_environment(self.settings),
            environment.prefect_environment(self.settings),
        )


async def _at_once() -> bool:
    return True


def _no_mark(mark: Path) -> Path:
    """Where a process will say that it is ready; what an earlier one said there is gone."""
    mark.unlink(missing_ok=True)
    return mark


def local(settings: Settings) -> Settings:
    """What follows from running everything on this machine.

    The sandbox is a platform of ours, so its origin is trusted; on loopback the bot's browser
    may then also use loopback addresses for WebRTC.
    """
    origin = settings.sandbox.origin
    trusted = tuple(dict.fromkeys((*settings.trusted_origins, origin)))
    loopback = urlsplit(origin).hostname in LOOPBACK
    reached_here = urlsplit(settings.api.login_url).hostname in LOOPBACK
    return settings.model_copy(
        update={
            "trusted_origins": trusted,
            # Whoever reads the log of this machine is its operator.
            "login": settings.login.model_copy(
                update={"links_in_log": settings.login.links_in_log or reached_here}
            ),
            "bot": settings.bot.model_copy(
                update={"loopback_webrtc": settings.bot.loopback_webrtc or loopback}
            ),
        }
    )


def running_settings(given: Settings) -> Settings:
    """The settings of a stack that runs on this machine, for the operator's other commands."""
    settings = local(secrets_file.with_secrets(given, secrets_file.load_or_make(given.data_dir)))
    if settings.database_url is None:
        urls = PrivatePostgres(settings.data_dir / "postgres").urls()
        settings = settings.model_copy(update={"database_url": SecretStr(urls.meetbot)})
    return settings


async def _together(*steps: Coroutine[Any, Any, None]) -> None:
    """Run `steps` at once; when one fails the others are cancelled and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def answers(url: str) -> Callable[[], Awaitable[bool]]:
    """A check whether a GET of `url` succeeds, for `ChildSpec.ready`."""

    async def ready() -> bool:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            try:
                return (await client.get(url)).is_success
            except httpx.TransportError:
                return False

    return ready


def _file_ready(path: Path) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return await asyncio.to_thread(path.exists)

    return ready


class _exclusive(contextlib.AbstractContextManager[None]):  # noqa: N801 - used like a function
    """Hold a lock file; it goes away with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"A stack is already running on {self._path.parent}. Stop it first, or choose "
                "another folder with MEETBOT_DATA_DIR."
            ) from None

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
