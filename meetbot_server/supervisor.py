"""Runs child processes, restarts the ones that die, and stops them in reverse order (D22)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from core.clock import Clock

_log = logging.getLogger(__name__)

# A child that keeps dying is started again after these waits; the last one repeats.
BACKOFF_SECONDS: Final = (0.2, 1.0, 2.0, 5.0)
# A child that lived this long has recovered; its next death starts the backoff anew.
STABLE_SECONDS: Final = 60.0


class ChildFailed(Exception):
    """A child did not become ready; the message names its log."""


@dataclass(frozen=True)
class ChildSpec:
    """One process. `ready` returns when it can be used and raises when it cannot."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    ready: Callable[[], Awaitable[bool]]
    ready_seconds: float = 60
    stop_seconds: float = 20
    stop_signal: signal.Signals = signal.SIGTERM


class Supervisor:
    """Starts children one after the other; each is kept alive until the block is left."""

    def __init__(self, logs: Path, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock
        self._children: list[_Child] = []

    async def __aenter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in reversed(self._children):
            await child.stop()

    async def start(self, spec: ChildSpec) -> None:
        """Start a child and wait until it is ready.

        Raises:
            ChildFailed: it exited or was not ready within `ready_seconds`.
        """
        child = _Child(spec, self._logs / f"{spec.name}.log", self._clock)
        self._children.append(child)
        await child.start()

    def pid(self, name: str) -> int | None:
        """The process id of a child, None while it is down."""
        return next((child.pid for child in self._children if child.spec.name == name), None)


class _Child:
    def __init__(self, spec: ChildSpec, log: Path, clock: Clock) -> None:
        self.spec = spec
        self._log_path = log
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def start(self) -> None:
        await self._spawn()
        deadline = self._clock.monotonic() + self.spec.ready_seconds
        while not await self.spec.ready():
            if self.pid is None or self._clock.monotonic() > deadline:
                raise ChildFailed(
                    f"{self.spec.name} {'exited' if self.pid is None else 'is not ready'}; "
                    f"its log is {self._log_path}:\n{self._tail()}"
                )
            await self._clock.sleep(0.1)
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.spec.name}")

    async def _spawn(self) -> None:
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.spec.command,
                env=dict(self.spec.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A terminal's Ctrl-C is for the supervisor; it stops the children in order.
                start_new_session=True,
            )

    async def _keep(self) -> None:
        deaths = 0
        while self._process is not None:
            born = self._clock.monotonic()
            code = await self._process.wait()
            if self._stopping:
                return
            deaths = 0 if self._clock.monotonic() - born > STABLE_SECONDS else deaths
            wait = BACKOFF_SECONDS[min(deaths, len(BACKOFF_SECONDS) - 1)]
            deaths += 1
            _log.warning("%s exited with %s; restarting in %.1f s", self.spec.name, code, wait)
            await self._clock.sleep(wait)
            await self._spawn()

    async def stop(self) -> None:
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._signal(self.spec.stop_signal)
            try:
                await asyncio.wait_for(self._process.wait(), self.spec.stop_seconds)
            except TimeoutError:
                _log.warning("%s did not stop in time; killing it", self.spec.name)
                self._signal(signal.SIGKILL, group=True)
                await self._process.wait()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    def _signal(self, number: signal.Signals, *, group: bool = False) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(self._process.pid, number)
            else:
                os.kill(self._process.pid, number)

    def _tail(self) -> str:
        return "\n".join(self._log_path.read_text(errors="replace").splitlines()[-15:])


def python(*arguments: str) -> list[str]:
    """A command line that runs this interpreter."""
    return [sys.executable, *arguments]
