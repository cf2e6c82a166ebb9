"""Jobs for later: they wait as `queued`, join when due, and can be called off until then."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.clock import rfc3339
from tests.e2e import processes
from tests.e2e.customer import Customer
from tests.e2e.operator import Operator
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

# Long enough to see the job wait, shorter than the lead, so that its run starts at once.
AHEAD = timedelta(seconds=20)
FAR = timedelta(minutes=30)


async def test_a_bot_joins_when_the_meeting_is_due_and_not_before(product: RunningStack) -> None:
    """API-54, AR-08: the run waits ready; the job is `queued` until `joinAt`."""
    customer = Customer(product)
    room = await product.sandbox.create_room()
    due = datetime.now(UTC) + AHEAD
    job_id = await customer.dispatch(room.guest_url, joinAt=rfc3339(due))

    await Operator(product).until_running(job_id)
    async with asyncio.timeout((due - datetime.now(UTC)).total_seconds()):
        while not processes.browsers(product):
            await asyncio.sleep(0.1)
    assert (await customer.job(job_id))["status"] == "queued"
    people = (await product.sandbox.room(room.room_id)).participants
    assert {one.kind for one in people} <= {"scripted"}
    await customer.until_status(job_id, "recording")

    (joining,) = [
        one for one in customer.webhooks(job_id) if one.body["data"]["status"] == "joining"
    ]
    assert datetime.fromisoformat(joining.body["emittedAt"]) >= due
    await customer.leave(job_id)
    assert (await customer.until_over(job_id))["status"] == "completed"


async def test_a_job_that_waits_for_its_time_can_be_cancelled(product: RunningStack) -> None:
    """LC-12: its run is there already; it ends without a bot, and nothing is delivered."""
    customer = Customer(product)
    room = await product.sandbox.create_room()
    due = datetime.now(UTC) + timedelta(seconds=50)
    job_id = await customer.dispatch(room.guest_url, joinAt=rfc3339(due))
    await Operator(product).until_running(job_id)

    await customer.cancel(job_id)
    job = await customer.until_over(job_id, seconds=20)

    assert (job["status"], job["exitReason"], job["billed"]) == ("cancelled", "cancelled", False)
    assert job["manifestUri"] is None


async def test_a_run_cancelled_in_the_ui_before_it_started_ends_its_job(
    product: RunningStack,
) -> None:
    """AR-13: no process ever saw that run, yet its job may not stay open."""
    customer, operator = Customer(product), Operator(product)
    room = await product.sandbox.create_room()
    job_id = await customer.dispatch(room.guest_url, joinAt=rfc3339(datetime.now(UTC) + FAR))

    await operator.cancel_in_the_ui(job_id)
    job = await customer.until_over(job_id, seconds=30)

    assert job["status"] == "cancelled"
