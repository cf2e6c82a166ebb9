"""What people read of a run in the Prefect UI: numbers and ids, never names (AR-09)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast
from uuid import uuid4

import pytest

from bot.control import Progress, Speaking
from core.errors import RemovedFromMeeting
from core.jobs.lifecycle import Status
from core.settings import ApiSettings, Settings
from flows import live_view
from flows.live_view import SHARE, LiveView
from flows.outcome import Outcome
from flows.resources import Resources
from flows.run import MeetingRun
from tests.flows.recorded import NAME, NOW, recording
from tests.support.clock import ManualClock

pytestmark = pytest.mark.unit


class Watched:
    """The parts of a run that are shown."""

    job_id = "job_01H"

    def __init__(self) -> None:
        self.status = Status.RECORDING
        self.outcome = Outcome()
        self.snapshot: Progress | None = None

    def progress(self) -> Progress | None:
        return self.snapshot


class Shown:
    """Stands in for Prefect's artifacts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.trouble: Exception | None = None
        for name in (
            "acreate_progress_artifact",
            "aupdate_progress_artifact",
            "acreate_markdown_artifact",
        ):
            monkeypatch.setattr(live_view, name, self._door(name))

    def _door(self, name: str) -> Any:
        async def call(*ids: object, **fields: Any) -> object:
            if self.trouble is not None:
                raise self.trouble
            self.calls.append((name.removeprefix("a").rpartition("_artifact")[0], fields))
            return uuid4()

        return call


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(monkeypatch)


@pytest.fixture
def run() -> Watched:
    return Watched()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def view(run: Watched, clock: ManualClock) -> LiveView:
    api = ApiSettings(public_url="https://api.example")
    resources = cast("Resources", _Resources(Settings(api=api), clock))
    return LiveView(resources, cast("MeetingRun", run))


class _Resources:
    def __init__(self, settings: Settings, clock: ManualClock) -> None:
        self.settings = settings
        self.clock = clock


async def rounds(clock: ManualClock, view: LiveView, count: int) -> None:
    """Let the view refresh so many times."""
    async with view:
        for _ in range(count):
            for _ in range(5):
                await asyncio.sleep(0)
            clock.advance(live_view.REFRESH_SECONDS)
        for _ in range(5):
            await asyncio.sleep(0)


async def test_progress_is_made_once_and_updated_only_when_it_changed(
    view: LiveView, run: Watched, shown: Shown, clock: ManualClock
) -> None:
    await rounds(clock, view, 3)
    assert [name for name, _ in shown.calls] == ["create_progress"]
    run.snapshot = Progress(NOW, 12.4, 98_765, (Speaking("prt_1", NAME, 0.5, 12.0),))
    await rounds(clock, view, 2)
    assert [name for name, _ in shown.calls] == ["create_progress", "update_progress"]
    assert shown.calls[1][1] == {
        "progress": SHARE[Status.RECORDING],
        "description": "recording: 12 s recorded of 1 participants, 98,765 bytes",
    }


async def test_the_last_page_has_the_failure_the_manifest_and_the_files(
    view: LiveView, run: Watched, shown: Shown
) -> None:
    run.status = Status.FAILED
    run.outcome.fail(RemovedFromMeeting("The host removed the bot."))
    run.outcome.manifest_uri = "s3://bucket/recordings/job_01H/manifest.json"
    run.outcome.kept = "What lies below the journal could not be deleted."
    run.outcome.recording = recording()
    await view.conclude()
    progress, page = shown.calls
    assert progress[1]["progress"] == 100
    text = page[1]["markdown"]
    assert "# job_01H: failed" in text
    assert "**removed_from_meeting**: The host removed the bot." in text
    assert "https://api.example/api/v1/jobs/job_01H" in text
    assert "s3://bucket/recordings/job_01H/manifest.json" in text
    assert "What lies below the journal could not be deleted." in text
    assert "| `audio.prt_1.ogg` | per-speaker | 12,345 | 61.5 | track-owner |" in text


async def test_no_name_of_a_person_is_shown(
    view: LiveView, run: Watched, shown: Shown, clock: ManualClock
) -> None:
    run.snapshot = Progress(NOW, 12.4, 98_765, (Speaking("prt_1", NAME, 0.5, 12.0),))
    run.outcome.recording = recording()
    await rounds(clock, view, 1)
    await view.conclude()
    assert shown.calls
    assert NAME not in repr(shown.calls)


async def test_a_meeting_goes_on_when_prefect_takes_no_artifact(
    view: LiveView, shown: Shown, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    shown.trouble = ConnectionError("Prefect is away")
    with caplog.at_level(logging.WARNING):
        await rounds(clock, view, 2)
        await view.conclude()
    assert "did not take an artifact" in caplog.text
    shown.trouble = None
    await view.conclude()
    assert "create_markdown" in [name for name, _ in shown.calls]


@pytest.mark.parametrize("status", [status for status in Status if not status.terminal])
def test_every_status_on_the_way_has_its_share(status: Status) -> None:
    shares = [SHARE[known] for known in Status if not known.terminal]
    assert shares == sorted(shares)
    assert 0 <= SHARE[status] < 100
