"""A private PostgreSQL that dies is there again, and gone at the end (D22)."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.clock import SystemClock
from core.postgres import PrivatePostgres
from meetbot_server.database_keeper import kept

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SECONDS = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket, which pytest's own folders need not be."""
    parent = Path(tempfile.mkdtemp(prefix="mbpg-"))
    yield parent / "pg"
    shutil.rmtree(parent, ignore_errors=True)


def answers(folder: Path) -> bool:
    try:
        psycopg.connect(host=str(folder), user="postgres", dbname="meetbot").close()
    except psycopg.OperationalError:
        return False
    return True


def postmaster(folder: Path) -> int:
    return int((folder / "postmaster.pid").read_text().splitlines()[0])


async def test_a_killed_database_is_started_again(folder: Path) -> None:
    server = PrivatePostgres(folder)
    await asyncio.to_thread(server.start)
    async with kept(server, SystemClock()):
        for _ in range(2):
            killed = postmaster(folder)
            os.kill(killed, signal.SIGKILL)
            async with asyncio.timeout(SECONDS):
                while not (_another(folder, killed) and answers(folder)):
                    await asyncio.sleep(0.05)
    assert not server.alive()
    assert not answers(folder)


def _another(folder: Path, killed: int) -> bool:
    try:
        return postmaster(folder) != killed
    except (OSError, IndexError, ValueError):
        return False
