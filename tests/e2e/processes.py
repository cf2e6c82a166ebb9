"""The processes of a live meeting, for tests that kill them."""

from __future__ import annotations

from contextlib import suppress

import psutil

from tests.support.stack import RunningStack


def browsers(product: RunningStack) -> list[psutil.Process]:
    """The main process of every Chromium below the worker."""
    return browsers_below(product.worker())


def browsers_below(ancestor: psutil.Process) -> list[psutil.Process]:
    """The main process of every Chromium below another process."""
    found = []
    for process in ancestor.children(recursive=True):
        with suppress(psutil.Error):
            if is_browser(process):
                found.append(process)
    return found


def is_browser(process: psutil.Process) -> bool:
    """Whether it is the main process of a Chromium."""
    line = process.cmdline()
    chromium = any(part.startswith("--user-data-dir=") for part in line)
    return chromium and not any(part.startswith("--type=") for part in line)


def only_browser(product: RunningStack) -> psutil.Process:
    """The browser, while one meeting is live."""
    (browser,) = browsers(product)
    return browser


def meeting_of(browser: psutil.Process) -> psutil.Process:
    """The meeting's own process: the fork whose parent is the fork server."""
    process = browser
    while (parent := process.parent()) is not None:
        grandparent = parent.parent()
        if grandparent is not None and "forkserver" not in " ".join(grandparent.cmdline()):
            return process
        process = parent
    raise AssertionError(f"{browser} has no meeting process above it")
