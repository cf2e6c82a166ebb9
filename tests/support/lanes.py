"""Two lanes of tests side by side, so that the suite does not wait where it need not.

Most of what live media and whole stacks take is waiting for things to happen; meanwhile a second
process runs what only computes. Never two browsers or stacks at once: they are timed by the clock,
and the lane of what computes gives way to them as well.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

MEDIA: Final = ("tests/bot/", "tests/e2e/", "tests/sandbox/", "tests/transcription/")
GIVES_WAY: Final = 10


def lane_of(item: pytest.Item) -> str:
    """`media` or `plain`."""
    return "media" if item.nodeid.startswith(MEDIA) else "plain"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ahead of xdist, which reads the groups at this point (`--dist loadgroup`)."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(lane_of(item)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    beside_another = hasattr(item.config, "workerinput")
    if beside_another and lane_of(item) == "plain" and os.nice(0) < GIVES_WAY:
        os.nice(GIVES_WAY)
