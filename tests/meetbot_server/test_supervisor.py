"""Children are started in order, kept alive and stopped cleanly (D22)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from core.clock import SystemClock
from meetbot_server.supervisor import ChildFailed, ChildSpec, Supervisor, python

pytestmark = pytest.mark.integration

STAYS = "import pathlib, signal, sys; pathlib.Path(sys.argv[1]).touch(); signal.pause()"


def exists(path: Path) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return await asyncio.to_thread(path.exists)

    return ready


def child(name: str, mark: Path, code: str = STAYS, **options: float) -> ChildSpec:
    return ChildSpec(
        name=name,
        command=python("-c", code, str(mark)),
        environment={"PATH": "/usr/bin:/bin"},
        ready=exists(mark),
        ready_seconds=options.get("ready_seconds", 10),
        stop_seconds=options.get("stop_seconds", 5),
    )


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_that_is_killed_is_running_again_within_five_seconds(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "logs", SystemClock()) as supervisor:
        await supervisor.start(child("one", tmp_path / "mark"))
        first = supervisor.pid("one")
        assert first is not None

        os.kill(first, signal.SIGKILL)

        await until(lambda: supervisor.pid("one") not in (None, first), seconds=5)


async def test_leaving_the_block_stops_every_child(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "logs", SystemClock()) as supervisor:
        for name in ("one", "two"):
            await supervisor.start(child(name, tmp_path / name))
        pids = [supervisor.pid(name) for name in ("one", "two")]

    assert not any(pid is not None and alive(pid) for pid in pids)


async def test_a_child_that_exits_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "logs", SystemClock()) as supervisor:
        with pytest.raises(ChildFailed, match="no such port"):
            await supervisor.start(
                child("one", tmp_path / "mark", "raise SystemExit('no such port')")
            )


async def test_a_child_that_is_never_ready_is_reported(tmp_path: Path) -> None:
    async with Supervisor(tmp_path / "logs", SystemClock()) as supervisor:
        with pytest.raises(ChildFailed, match="one is not ready"):
            await supervisor.start(
                child("one", tmp_path / "mark", "import signal; signal.pause()", ready_seconds=0.3)
            )


async def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + STAYS
    async with Supervisor(tmp_path / "logs", SystemClock()) as supervisor:
        await supervisor.start(child("one", tmp_path / "mark", deaf, stop_seconds=0.3))
        pid = supervisor.pid("one")

    assert pid is not None
    assert not alive(pid)
