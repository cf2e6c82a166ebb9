"""Temporary files of meetings: gone with their process, also when that is killed (D10)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from flows.scratch import own_scratch, sweep

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

# A process with a scratch folder, a file in it, and a child that names the folder as browsers do.
MEETING = """
import subprocess, sys, tempfile
from pathlib import Path
from flows.scratch import own_scratch

with own_scratch(Path(sys.argv[1])) as folder:
    tempfile.mkdtemp(prefix="meetbot-browser-")
    shell = f"echo $TMPDIR; read line; : --user-data-dir={folder}/profile"
    browser = subprocess.Popen(["sh", "-c", shell], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(folder, browser.pid, browser.stdout.readline().decode().strip(), flush=True)
    sys.stdin.read()
    browser.communicate(b"over")
"""


@contextmanager
def meeting(root: Path) -> Iterator[tuple[subprocess.Popen[str], Path, psutil.Process]]:
    """The process, its scratch folder and its child."""
    with subprocess.Popen(  # noqa: S603 - this file's own text
        [sys.executable, "-c", MEETING, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            folder, browser, told = process.stdout.readline().split()
            assert told == folder, "children are told where temporary files go"
            yield process, Path(folder), psutil.Process(int(browser))
        finally:
            process.kill()


def test_it_is_gone_with_its_process(tmp_path: Path) -> None:
    with meeting(tmp_path / "tmp") as (process, folder, _):
        assert [path.name[:16] for path in folder.iterdir()] == ["meetbot-browser-"]
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_process_left_is_swept_away_with_what_it_started(tmp_path: Path) -> None:
    """Its browser is stuck and did not notice."""
    root = tmp_path / "tmp"
    with meeting(root) as (dead, _, browser), meeting(root) as (alive, other, its_browser):
        browser.suspend()
        dead.kill()
        dead.wait(30)
        assert sweep(root, fresh_seconds=0) == 1
        assert sorted(path.name for path in root.iterdir()) == [other.name, f"{other.name}.lock"]
        _, running = psutil.wait_procs([browser], timeout=10)
        assert not running
        assert alive.poll() is None
        assert its_browser.is_running()
        assert sweep(root, fresh_seconds=0) == 0


def test_what_was_made_just_now_is_left_alone(tmp_path: Path) -> None:
    """Its process may be about to take the lock."""
    (tmp_path / "1-fresh").mkdir()
    assert sweep(tmp_path) == 0
    assert sweep(tmp_path, fresh_seconds=0) == 1
    assert sweep(tmp_path / "nothing here") == 0


def test_temporary_files_go_where_they_went_before_when_it_is_over(tmp_path: Path) -> None:
    usual = tempfile.gettempdir()
    with own_scratch(tmp_path / "tmp") as folder:
        assert tempfile.gettempdir() == str(folder)
    assert tempfile.gettempdir() == usual
