"""A shared screen is a file of its own, passed through as it was encoded (MF-12; D6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.async_api import Browser

from bot.recording.finalize import finalize
from core.jobs.failures import ExitReason
from core.jobs.spec import RecordingOptions
from core.recordings.recording import Recording
from tests.bot.platforms.conftest import Visitor, Visits
from tests.replicas.common.rooms import Scenario
from tests.replicas.common.server import Replicas
from tests.replicas.common.sharing import COLOUR, HEIGHT, WIDTH, SharedScreen
from tests.replicas.platforms import REPLICAS, ReplicaPlatform

pytestmark = [pytest.mark.browser, pytest.mark.media, pytest.mark.timeout(120)]

SCREENS = [one for one in REPLICAS if one.screen_id is not None]
OPTIONS = RecordingOptions(video="screenshare")
WAIT_SECONDS = 30
# More than a second of it.
ENOUGH = 40
PRESENTER = 1


@dataclass(frozen=True)
class Shared:
    recording: Recording
    visitor: Visitor


@pytest.fixture(scope="module")
async def shared(
    replica_browser: Browser, replicas: Replicas, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Shared]]:
    """On all platforms at once: most of it is waiting."""
    visits = Visits(replica_browser, replicas, tmp_path_factory.mktemp("screens"))
    try:
        recorded = await asyncio.gather(*(record(visits, one) for one in SCREENS))
        yield {one.slug: some for one, some in zip(SCREENS, recorded, strict=True)}
    finally:
        await asyncio.gather(*(context.close() for context in visits.contexts))


async def record(visits: Visits, platform: ReplicaPlatform) -> Shared:
    assert platform.screen_id is not None
    visitor = await visits.make(platform, Scenario(), OPTIONS)
    await visitor.enter()
    await visitor.recorder.start()
    await visitor.room.settle_in()
    who = str(visitor.replica.people[PRESENTER]["id"])
    captured = visitor.recorder.media_captured
    async with SharedScreen(visitor.replica, who, platform.screen_id(who), platform.share):
        async with asyncio.timeout(WAIT_SECONDS):
            while visitor.recorder.intake.codecs["vp8"] < ENOUGH or not captured.is_set():
                await asyncio.sleep(0.05)
    await visitor.recorder.stop(ExitReason.LEAVE_REQUESTED)
    return Shared(await asyncio.to_thread(finalize, visitor.work_dir), visitor)


@pytest.mark.parametrize("slug", [one.slug for one in SCREENS])
async def test_a_shared_screen_is_a_file_of_its_own(shared: dict[str, Shared], slug: str) -> None:
    recording, visitor = shared[slug].recording, shared[slug].visitor
    (file,) = recording.media
    assert (file.kind, file.mime_type) == ("screenshare", "video/webm")
    (owner,) = [one for one in recording.participants if one.id == file.participant_id]
    assert owner.display_name == visitor.replica.people[PRESENTER]["name"]
    assert visitor.recorder.intake.codecs.keys() == {"vp8"}
    look_at(file.path)


def look_at(path: Path) -> None:
    """It decodes, whole, to the picture that was shared and not to what our decoder was given."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) >= 12
    for frame in (frames[0], frames[-1]):
        assert (frame.width, frame.height) == (WIDTH, HEIGHT)
        planes = np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)
        luma = planes[:HEIGHT]
        blue, red = np.split(planes[HEIGHT:].reshape(2, -1), 2)
        for plane, value in zip((luma, blue, red), COLOUR, strict=True):
            assert abs(float(np.mean(plane)) - value) < 4
