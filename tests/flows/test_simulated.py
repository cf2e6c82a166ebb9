"""Simulated rooms record, obey and are delivered as real ones, and only where allowed (D13)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.control import Verb
from bot.recording.finalize import finalize
from core.clock import SystemClock
from core.errors import BotFault, JobCancelled
from core.ids import new_id
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event, Status
from core.jobs.spec import AutoLeavePolicy, JobSpec
from core.settings import SandboxSettings, Settings
from flows.sessions import Session, open_session
from flows.simulated import DRIVER, SimulatedSession
from tests.support.channel import MemoryChannel

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

Sent = tuple[Session, MemoryChannel, Path]


@pytest.fixture
def send(tmp_path: Path) -> Callable[..., Sent]:
    def make(*, allowed: bool = True, **job: Any) -> Sent:
        spec = JobSpec(
            **{
                "job_id": new_id("job"),
                "fence": 1,
                "platform": "meet",
                "driver": DRIVER,
                "meeting_url": "https://meet.google.com/abc-defg-hij",
                "room_url": f"{DRIVER}:1",
                "display_name": "meetbot",
                "livemode": False,
                **job,
            }
        )
        settings = Settings(data_dir=tmp_path, sandbox=SandboxSettings(simulated=allowed))
        channel = MemoryChannel()
        session = open_session(spec, settings, channel, SystemClock())
        return session, channel, settings.work_dir / spec.job_id

    return make


async def test_it_records_every_speaker_and_leaves_when_told(send: Callable[..., Sent]) -> None:
    session, channel, work_dir = send()
    async with session:
        await session.join()
        capture = asyncio.create_task(session.capture())
        await channel.until(lambda seen: seen.status is Status.RECORDING)
        await channel.until(
            lambda seen: seen.progress is not None and seen.progress.recorded_seconds > 4
        )
        assert channel.progress is not None
        assert len(channel.progress.participants) == 3
        command = await channel.issue(Verb.LEAVE)
        ending = await capture
    assert (ending.exit_reason, ending.failure) == (ExitReason.LEAVE_REQUESTED, None)
    assert command in channel.settled
    assert channel.events == [Event.BOT_STARTED, Event.ADMITTED, Event.MEDIA_CAPTURED]
    recording = finalize(work_dir)
    assert recording.exit_reason is ExitReason.LEAVE_REQUESTED
    assert [file.kind for file in recording.media] == ["per-speaker"] * 3
    assert recording.recorded_seconds >= 4
    # Somebody speaks, and not everybody at once.
    assert 1 <= sum(bool(file.speech) for file in recording.media) < 3


async def test_it_keeps_the_policy_of_its_job(send: Callable[..., Sent]) -> None:
    session, _, _ = send(auto_leave=AutoLeavePolicy(after_max_seconds=2))
    async with session:
        await session.join()
        ending = await session.capture()
    assert ending.exit_reason is ExitReason.MAX_DURATION


async def test_a_job_cancelled_at_the_door_is_not_joined(send: Callable[..., Sent]) -> None:
    session, channel, work_dir = send()
    await channel.issue(Verb.CANCEL)
    async with session:
        async with asyncio.timeout(20):
            assert isinstance(session, SimulatedSession)
            await session._commands.asked_to_go.wait()
        with pytest.raises(JobCancelled):
            await session.join()
    assert not work_dir.exists()


async def test_it_leaves_when_another_attempt_has_the_job(send: Callable[..., Sent]) -> None:
    """D10."""
    session, channel, _ = send()
    async with session:
        await session.join()
        capture = asyncio.create_task(session.capture())
        await channel.until(lambda seen: seen.status is Status.RECORDING)
        channel.outdated = True
        with pytest.raises(Exception, match="Another attempt"):
            async with asyncio.timeout(20):
                await capture


@pytest.mark.parametrize("wrong", [{"allowed": False}, {"livemode": True}])
def test_it_is_refused_to_live_keys_and_where_it_is_not_allowed(
    send: Callable[..., Sent], wrong: dict[str, Any]
) -> None:
    with pytest.raises(BotFault, match="MEETBOT_SANDBOX__SIMULATED"):
        send(**wrong)
