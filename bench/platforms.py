"""What a bot costs on each platform's replica, and how soon it is in.

The replicas are pages of our own with real WebRTC, so that these figures compare what the shapes
of platforms cost a bot: tracks of their own, one mix, three in turn. What the real pages cost on
top is known to nobody here. The browser is measured; speakers and recorder share our process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
from playwright.async_api import async_playwright

from bench.figures import Figure, against
from bench.process_tree import usage
from bot.browser.launch import find_chromium
from core.jobs.failures import ExitReason
from tests.bot.platforms.conftest import Visitor, Visits
from tests.replicas.common.media import Speakers, names
from tests.replicas.common.rooms import Scenario
from tests.replicas.common.server import Replicas, running_replicas
from tests.replicas.platforms import HOSTS, REPLICAS, ReplicaPlatform

ROUNDS: Final = 3
# Everybody has a track of their own there, as in the sandbox.
BASELINE: Final = "jitsi"
OVER_SECONDS: Final = 60


@dataclass
class Costs:
    """Seconds until inside, CPU-s a minute and MiB of one platform, a sample a round."""

    joined: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


async def measure(folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """A conversation of three on each replica, one after the other, in a browser of its own."""
    costs = {one.slug: Costs() for one in REPLICAS if one.topology is not None}
    async with running_replicas(HOSTS, folder) as replicas:
        for number in range(ROUNDS):
            say(f"platforms: round {number + 1} of {ROUNDS}")
            for platform in REPLICAS:
                if platform.slug in costs:
                    home = folder / f"{number}-{platform.slug}"
                    await _meeting(replicas, platform, home, costs[platform.slug])
    base = costs[BASELINE]
    figures = []
    for slug, own in costs.items():
        named = f"on {slug}'s replica"
        for title, samples, unit, baseline in (
            ("in the room", own.joined, "s", base.joined),
            ("browser of a bot", own.cpu, "CPU-s/min", base.cpu),
            ("browser of a bot", own.memory, "MiB", base.memory),
        ):
            figures.append(against(f"{title} {named}", samples, unit, f"on {BASELINE}'s", baseline))
    return figures


async def _meeting(
    replicas: Replicas, platform: ReplicaPlatform, folder: Path, costs: Costs
) -> None:
    async with async_playwright() as playwright:
        before = {one.pid for one in psutil.Process().children(recursive=True)}
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(None, Path(playwright.chromium.executable_path)),
            args=["--no-sandbox", *replicas.browser_arguments],
        )
        pid = _browser(before)
        visits = Visits(browser, replicas, folder)
        visitor = await visits.make(platform, Scenario(people=names()))
        async with Speakers(visitor.replica, platform.stream_id) as speakers:
            began = time.monotonic()
            await visitor.enter()
            costs.joined.append(time.monotonic() - began)
            await _record(visitor, speakers, pid, costs)
        await browser.close()


async def _record(visitor: Visitor, speakers: Speakers, pid: int, costs: Costs) -> None:
    visitor.observer.recording_starts()
    await visitor.recorder.start()
    await visitor.room.settle_in()
    await speakers.begin(str(visitor.platform.topology))
    earlier, began = usage(pid), time.monotonic()
    await asyncio.wait_for(speakers.over.wait(), OVER_SECONDS)
    later, minutes = usage(pid), (time.monotonic() - began) / 60
    costs.cpu.append(later.cpu_since(earlier) / minutes)
    costs.memory.append(later.pss_mib)
    await visitor.recorder.stop(ExitReason.LEAVE_REQUESTED)
    await visitor.room.leave()


def _browser(before: set[int]) -> int:
    """Chromium's own process, above those of its pages."""
    fresh = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
    for process in fresh:
        if "chrom" in process.name() and not any("--type=" in part for part in process.cmdline()):
            return process.pid
    raise RuntimeError("no browser was started")
