"""How a recorded meeting may end: by host, customer or operator, or with a failure around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from sandbox.schemas import HostAction, RoomCreated, RoomOptions
from tests.bot.listening import decode
from tests.e2e.customer import Customer
from tests.e2e.ending import Ended, ended
from tests.e2e.listening import RATE
from tests.e2e.operator import Operator
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.media, pytest.mark.timeout(300)]

TALK: Final = RoomOptions(video=False)
SECONDS: Final = 4


async def recording(product: RunningStack, seconds: float = SECONDS) -> tuple[str, RoomCreated]:
    """A job whose bot records a conversation, for so many seconds already."""
    customer = Customer(product)
    room = await product.sandbox.create_room(TALK)
    job_id = await customer.dispatch(room.guest_url)
    await customer.until_recorded(job_id, seconds)
    return job_id, room


async def end(
    product: RunningStack,
    how: Callable[[str, RoomCreated], Awaitable[object]],
    expected: Ended,
) -> None:
    """Record, end it that way, and check what is told and what was delivered."""
    job_id, room = await recording(product)
    await how(job_id, room)
    job, _ = await ended(product, job_id, expected)
    manifest = await Operator(product).manifest(job_id)
    assert manifest["exitReason"] == expected.exit_reason
    assert manifest["partial"] is (expected.failure is not None)
    assert manifest["failureCode"] == expected.failure
    assert manifest["durationSeconds"] == job["durationSeconds"] >= SECONDS - 1
    kinds = [track["kind"] for track in manifest["tracks"]]
    assert kinds.count("per-speaker") == 3
    # The bot is gone from the room.
    if room.room_id:
        view = await product.sandbox.room(room.room_id)
        assert [p for p in view.participants if p.kind == "browser"] == []


async def test_the_host_ends_the_call(product: RunningStack) -> None:
    """The meeting is over, which is how meetings end."""

    async def over(_: str, room: RoomCreated) -> None:
        await product.sandbox.host(room.room_id, HostAction.END)

    await end(product, over, Ended("completed", "call_ended"))


async def test_the_host_removes_the_bot(product: RunningStack) -> None:
    """LC-17, FC-05: failed, with what was recorded until then."""

    async def kick(_: str, room: RoomCreated) -> None:
        view = await product.sandbox.room(room.room_id)
        (bot,) = [p for p in view.participants if p.kind == "browser"]
        await product.sandbox.host(room.room_id, HostAction.KICK, bot.participant_id)

    await end(product, kick, Ended("failed", "kicked", "removed_from_meeting", "removed"))


async def test_the_customer_cancels_while_recording(product: RunningStack) -> None:
    """LC-13: cancelled, and what was captured is delivered."""

    async def cancel(job_id: str, _: RoomCreated) -> None:
        await Customer(product).cancel(job_id)

    await end(product, cancel, Ended("cancelled", "cancelled"))


async def test_the_operator_cancels_in_the_prefect_ui(product: RunningStack) -> None:
    """AR-13, D4: as a cancel by the customer, and Prefect shows the run as cancelled."""

    async def cancel(job_id: str, _: RoomCreated) -> None:
        await Operator(product).cancel_in_the_ui(job_id)

    await end(product, cancel, Ended("cancelled", "cancelled"))


async def test_storage_that_is_down_is_waited_for(product: RunningStack) -> None:
    """D9, MF-16: the meeting's process ends, the job stays open, and once storage answers again
    everything follows by itself, exactly once."""
    customer, operator = Customer(product), Operator(product)
    job_id, _ = await recording(product)
    work = product.settings.work_dir / job_id
    with product.storage_gate.closed():
        await customer.leave(job_id)
        run = await operator.settled_run(job_id)
        assert (run.state, run.run["state"]["name"]) == ("COMPLETED", "Postponed")
        assert "could not be reached" in run.message
        assert (await customer.job(job_id))["status"] == "finalizing"
        kept = await asyncio.to_thread(lambda: sorted((work / "final").glob("*.ogg")))
        lengths = [len(decode(path, RATE)) / RATE for path in kept]
    job = await customer.until_over(job_id, seconds=150)
    assert len(lengths) == 3
    assert min(lengths) >= SECONDS
    assert (job["status"], job["exitReason"]) == ("completed", "leave_requested")
    await customer.until_told(job_id, "job.finalized", "completed")
    told = [one.event for one in customer.webhooks(job_id)]
    assert (told.count("job.finalized"), told.count("job.failed")) == (1, 0)
    assert len(await operator.usage(job_id)) == 1
    manifest = await operator.manifest(job_id)
    assert [track["kind"] for track in manifest["tracks"]].count("per-speaker") == 3
    async with asyncio.timeout(30):
        while await asyncio.to_thread(work.exists):
            await asyncio.sleep(0.2)


async def test_a_receiver_that_is_down_is_told_later(product: RunningStack) -> None:
    """Bad input: receiver down (WH-20, WH-26): the job completes, the drain delivers afterwards."""
    customer, operator = Customer(product), Operator(product)
    job_id, _ = await recording(product)
    with product.receiver_gate.closed():
        await customer.leave(job_id)
        job = await customer.until_over(job_id)
        run = await operator.settled_run(job_id)
        assert (job["status"], run.state) == ("completed", "COMPLETED")
        assert not [w for w in customer.webhooks(job_id) if w.event == "job.finalized"]
    await customer.until_told(job_id, "job.finalized", "completed", seconds=90)
    (told,) = [w for w in customer.webhooks(job_id) if w.event == "job.finalized"]
    assert told.verified
    assert told.attempt >= 2


async def test_without_the_speech_model_there_is_no_transcript(product: RunningStack) -> None:
    """Bad input: model missing. The recording is delivered, and says why it has no transcript."""
    customer, operator = Customer(product), Operator(product)
    room = await product.sandbox.create_room(TALK)
    job_id = await customer.dispatch(room.guest_url, transcription={"mode": "addon"})
    await customer.until_recorded(job_id, SECONDS)
    with product.missing_model():
        await customer.leave(job_id)
        await customer.until_over(job_id)
    _, run = await ended(product, job_id, Ended("completed", "leave_requested"))
    manifest = await operator.manifest(job_id)
    assert manifest["transcript"] == "failed"
    assert "transcript" not in manifest["artifacts"]
    await operator.until_tasks(job_id, {"transcribe"})
    run = await operator.settled_run(job_id)
    (task,) = [task for task in run.tasks if task["name"].startswith("transcribe-")]
    assert task["state_type"] == "FAILED"
    assert "MEETBOT_TRANSCRIPTION__MODEL" in task["state"]["message"]


async def test_a_test_key_gets_a_scripted_room_for_any_meeting(
    product: RunningStack, tmp_path: Path
) -> None:
    """AU-06, D13: nobody dials out, and the job keeps the platform of its URL."""
    customer, operator = Customer(product), Operator(product)
    job_id = await customer.dispatch("https://meet.google.com/abc-defg-hij")
    await customer.until_recorded(job_id, SECONDS)
    await customer.leave(job_id)
    job, run = await ended(product, job_id, Ended("completed", "leave_requested"))
    assert (job["platform"], job["livemode"]) == ("meet", False)
    assert any("meet" in tag for tag in run.run["tags"])
    manifest = await operator.manifest(job_id)
    assert manifest["platform"] == "meet"
    assert len(manifest["speakers"]) == 3
