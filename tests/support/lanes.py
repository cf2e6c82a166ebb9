"""Two lanes of tests side by side, so that the suite does not wait where it need not.

Most of what live media and whole stacks take is waiting for things to happen; meanwhile a second
process runs what only computes. Never two browsers or stacks at once: they are timed by the clock,
and the lane of what computes gives way to them as well.
"""

from __future__ import annotations

import os
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

MEDIA: Final = ("tests/bot/", "tests/e2e/", "tests/sandbox/", "tests/transcription/")
# Screens and no media: they may take their time.
SCREENS: Final = "tests/bot/platforms/test_scenarios.py"
GIVES_WAY: Final = 10


def lane_of(nodeid: str) -> str:
    """`media` or `plain`."""
    timed = nodeid.startswith(MEDIA) and not nodeid.startswith(SCREENS)
    return "media" if timed else "plain"


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """A process for each lane."""

    def _split_scope(self, nodeid: str) -> str:
        return lane_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    return Lanes(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    beside_another = hasattr(item.config, "workerinput")
    if beside_another and lane_of(item.nodeid) == "plain" and os.nice(0) < GIVES_WAY:
        os.nice(GIVES_WAY)
