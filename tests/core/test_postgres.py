"""The private server: starts, is adopted, stops, and says what is missing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.errors import Unavailable
from core.postgres import PrivatePostgres, find_binaries

pytestmark = pytest.mark.integration


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket, which pytest's own folders need not be."""
    parent = Path(tempfile.mkdtemp(prefix="mbpg-"))
    yield parent / "pg"
    shutil.rmtree(parent, ignore_errors=True)


def databases(folder: Path) -> set[str]:
    with psycopg.connect(host=str(folder), user="postgres", dbname="postgres") as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def test_it_starts_with_both_databases_and_keeps_them_over_a_restart(folder: Path) -> None:
    server = PrivatePostgres(folder, {"fsync": "off"})
    urls = server.start()
    try:
        assert databases(folder) >= {"meetbot", "prefect"}
        assert urls.meetbot.startswith("postgresql+psycopg://")
        assert urls.prefect.startswith("postgresql+asyncpg://")
        server.stop()
        assert not server.alive()
        assert server.start() == urls
        assert databases(folder) >= {"meetbot", "prefect"}
    finally:
        server.stop()


def test_prefect_finds_the_extension_that_its_schema_needs(folder: Path) -> None:
    """D2: Prefect's migrations create pg_trgm."""
    server = PrivatePostgres(folder, {"fsync": "off"})
    server.start()
    try:
        with psycopg.connect(host=str(folder), user="postgres", dbname="prefect") as connection:
            connection.execute("CREATE EXTENSION pg_trgm")
            assert connection.execute("SELECT similarity('abc', 'abd') > 0").fetchone() == (True,)
    finally:
        server.stop()


def test_a_server_left_running_is_adopted_and_can_be_stopped(folder: Path) -> None:
    first = PrivatePostgres(folder, {"fsync": "off"})
    first.start()
    second = PrivatePostgres(folder)
    try:
        second.start()
        assert second.alive()
    finally:
        second.stop()
    assert not first.alive()


def test_only_its_owner_can_reach_it(folder: Path) -> None:
    server = PrivatePostgres(folder, {"fsync": "off"})
    server.start()
    try:
        assert folder.stat().st_mode & 0o077 == 0
        with psycopg.connect(host=str(folder), user="postgres", dbname="postgres") as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    finally:
        server.stop()


def test_a_folder_too_long_for_a_socket_is_refused_with_advice(folder: Path) -> None:
    with pytest.raises(Unavailable, match="MEETBOT_DATA_DIR"):
        PrivatePostgres(folder / ("x" * 120)).start()


def test_missing_programs_are_named_with_what_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("core.postgres._candidates", lambda: [tmp_path])
    with pytest.raises(Unavailable, match="apt install postgresql"):
        find_binaries()
