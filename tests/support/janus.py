"""A Janus server and its video-room demo from Debian's packages: a call that nobody here wrote.

The packages are unpacked and not installed, so that no service starts, nothing of the machine
changes and nobody has to be root. Where they cannot be had, tests are skipped and say what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

import httpx
import pytest

from tests.support.ports import free_port

PACKAGES: Final = ("janus", "janus-demos")
ADVICE: Final = (
    "needs Debian's packages janus and janus-demos: on Debian 12, with apt's lists up to date "
    "(apt-get update), they are fetched by themselves; or install them."
)
FETCH_SECONDS: Final = 120
START_SECONDS: Final = 20
SYSTEM: Final = Path("/usr")
# What the demo does not need. Everything that listens but HTTP is off as well.
OFF: Final = {
    "plugins": ("sip", "nosip", "lua", "duktape", "recordplay", "streaming", "voicemail"),
    "transports": ("pfunix", "mqtt", "nanomsg", "rabbitmq", "websockets"),
}


@dataclass(frozen=True)
class Janus:
    """`origin` is its HTTP interface; `pages` are the demo's files, in order of precedence."""

    origin: str
    pages: tuple[Path, ...]

    def page(self, path: str) -> Path | None:
        """The file behind a path of the demo."""
        for folder in self.pages:
            name = path.removeprefix("javascript/") if folder.name == "javascript" else path
            if (folder / name).is_file():
                return folder / name
        return None


def unpacked(folder: Path) -> Path:
    """The root below which the packages lie: the system's, or `folder`, fetched when need be.

    Skips the test where there is none.
    """
    if shutil.which("janus") and (SYSTEM / "share/janus/demos").is_dir():
        return SYSTEM
    root = folder / "root"
    if not (root / "usr/bin/janus").is_file():
        if not (shutil.which("apt-get") and shutil.which("dpkg")):
            pytest.skip(ADVICE)
        try:
            _fetch(folder, root)
        except (subprocess.SubprocessError, OSError) as error:
            shutil.rmtree(root, ignore_errors=True)
            pytest.skip(f"{ADVICE} {error}")
    return root / "usr"


def _fetch(folder: Path, root: Path) -> None:
    debs = folder / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    plan = _run("apt-get", "install", "-y", "--no-install-recommends", "--dry-run", *PACKAGES)
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    _run("apt-get", "download", "-q", *names, cwd=debs)
    for deb in debs.iterdir():
        _run("dpkg", "-x", str(deb), str(root))


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, cwd=cwd, check=True, capture_output=True, text=True, timeout=FETCH_SECONDS
    )
    return done.stdout


@contextmanager
def running_janus(usr: Path, folder: Path) -> Iterator[Janus]:
    """The server on loopback, with the room 1234 that its package comes with."""
    library = next(usr.glob("lib/*/janus")).parent
    port = free_port()
    _configure(usr, library, folder, port)
    program = usr / "bin/janus"
    log = folder / "janus.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - our own arguments
            [program, "-F", folder, "-C", folder / "janus.jcfg"],
            env={"LD_LIBRARY_PATH": str(library), "PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            origin = f"http://127.0.0.1:{port}"
            _wait(origin, process, log)
            shared = (usr / "share/javascript", SYSTEM / "share/javascript")
            yield Janus(origin, (usr / "share/janus/demos", *shared))
        finally:
            process.kill()


def _configure(usr: Path, library: Path, folder: Path, port: int) -> None:
    disabled = {
        kind: ",".join(f"libjanus_{name}.so" for name in names) for kind, names in OFF.items()
    }
    (folder / "janus.jcfg").write_text(f"""
general: {{
  configs_folder = "{folder}"
  plugins_folder = "{library}/janus/plugins"
  transports_folder = "{library}/janus/transports"
  events_folder = "{folder}/none"
  loggers_folder = "{folder}/none"
}}
nat: {{ ice_enforce_list = "lo", keep_private_host = true }}
plugins: {{ disable = "{disabled["plugins"]}" }}
transports: {{ disable = "{disabled["transports"]}" }}
""")
    (folder / "janus.transport.http.jcfg").write_text(f"""
general: {{ base_path = "/janus", http = true, ip = "127.0.0.1", port = {port}, https = false }}
admin: {{ admin_http = false, admin_https = false }}
""")
    rooms = (usr.parent if usr != SYSTEM else Path("/")) / "etc/janus/janus.plugin.videoroom.jcfg"
    shutil.copy(rooms, folder)


def _wait(origin: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(START_SECONDS * 10):
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{origin}/janus/info", timeout=2, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        Event().wait(0.1)
    raise RuntimeError(f"Janus did not start: {log.read_text(errors='replace')[-2000:]}")
