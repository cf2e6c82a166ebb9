"""What the tree promises: its folders, its pins, its file sizes, its declarations."""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("api", "bot", "core", "flows", "intake", "meetbot_server", "sandbox", "transcription")
MOST_LINES = 400
SOURCES = {".py", ".js", ".ts", ".css", ".html"}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    return [ROOT / line for line in listed.stdout.splitlines()]


def test_the_owners_folders_and_files_exist() -> None:
    """AR-01."""
    folders = {"flows", "api", "intake", "bot", "transcription", "tests"}
    assert folders | {"prefect.yaml", "pyproject.toml"} <= {path.name for path in ROOT.iterdir()}


@pytest.mark.parametrize("name", PACKAGES)
def test_our_packages_are_imported_from_the_checkout(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).parent == ROOT / name


def test_the_prefect_server_imports_with_the_pinned_fastapi() -> None:
    """D16: the client imports even when the server cannot."""
    assert importlib.import_module("prefect.server.api.server")


def test_no_source_file_is_longer_than_the_limit() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in tracked()
        if path.suffix in SOURCES
        and path.exists()
        and (count := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert long == {}


def test_every_deployment_has_a_module_entrypoint_that_exists() -> None:
    """AR-07: a path entrypoint would put `flows` first on sys.path."""
    document = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    names = [deployment["name"] for deployment in document["deployments"]]
    assert names == sorted(names)
    for deployment in document["deployments"]:
        module, _, function = deployment["entrypoint"].partition(":")
        assert "/" not in module
        assert hasattr(importlib.import_module(module), function)


def test_ci_runs_what_the_readme_says() -> None:
    assert (ROOT / ".ci" / "run").read_text().strip() == "make test"
    assert "make test" in (ROOT / "README.md").read_text()
