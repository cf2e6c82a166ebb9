"""Three lanes of tests side by side, so that the suite does not wait where it need not.

Most of what live media and whole stacks take is waiting for things to happen; meanwhile two other
processes run what computes, and what waits for something else. Never two calls or stacks at once:
they are timed by the clock, and the other lanes give way to them as well.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

MEDIA: Final = ("tests/bot/", "tests/e2e/")
# Browsers without a call that is timed, or with a page that only shows screens.
SCREENS: Final = ("tests/bot/browser/", "tests/bot/platforms/")
CALLS: Final = tuple(
    f"tests/bot/platforms/test_{name}.py" for name in ("recorded", "sandbox_driver", "screens")
)
TABLE: Final = "tests/bot/platforms/test_scenarios.py"
# Beside the lane of all other tests these take about as long; the table follows them, and runs
# when that lane is over.
SERVICES: Final = (
    *("tests/api/", "tests/intake/", "tests/meetbot_server/", "tests/sandbox/"),
    *("tests/bot/browser/", TABLE),
)
GIVES_WAY: Final = 10


def lane_of(nodeid: str) -> str:
    """`media`, `services` or `plain`."""
    if nodeid.startswith(CALLS):
        return "media"
    if nodeid.startswith(MEDIA) and not nodeid.startswith(SCREENS):
        return "media"
    return "services" if nodeid.startswith(SERVICES) else "plain"


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """A process for each lane."""

    def _split_scope(self, nodeid: str) -> str:
        return lane_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    return Lanes(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The table of screens last: its six pages at once would take live calls their time."""
    items.sort(key=lambda item: item.nodeid.startswith(TABLE))


def pytest_runtest_setup(item: pytest.Item) -> None:
    beside_another = hasattr(item.config, "workerinput")
    if beside_another and lane_of(item.nodeid) != "media" and os.nice(0) < GIVES_WAY:
        os.nice(GIVES_WAY)


def children_give_way() -> None:
    """What this process started gives way as much as it does itself.

    Linux schedules sessions as groups: niceness counts within one, and browsers have their own.
    """
    for child in psutil.Process().children(recursive=True):
        with suppress(OSError):
            if os.getsid(child.pid) != os.getsid(0):
                Path(f"/proc/{child.pid}/autogroup").write_text(str(os.nice(0)))
