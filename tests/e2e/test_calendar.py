"""From a calendar to a recording: a rule wants an event, and everything follows (CAL-11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.schemas import RoomOptions
from tests.e2e.customer import Customer
from tests.e2e.ending import Ended, ended
from tests.e2e.operator import Operator
from tests.support.calendars.diary import BOSS, CUSTOMER, ME, Entry
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

BASE = "/api/v1/calendar"
# The synchronization is a run of its own, which has to start and to end before.
AHEAD = timedelta(seconds=30)
SECONDS = 3


async def posted(product: RunningStack, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await product.api.post(f"{BASE}{path}", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
async def connection(product: RunningStack) -> AsyncIterator[str]:
    """Ada's Google calendar, and a rule that wants meetings with customers."""
    grant = {"provider": "google", "refreshToken": product.google.grant()}
    made = await posted(product, "/grants", grant)
    rule = await posted(
        product,
        "/rules",
        {
            "connectionId": made["id"],
            "action": "record",
            "match": {"attendeeDomain": "customer.com"},
            "botDefaults": {
                "displayName": "Notes of Ada",
                "recording": {"video": "off"},
                "webhooks": {"onFinalize": product.hook},
            },
        },
    )
    yield str(made["id"])
    assert (await product.api.delete(f"{BASE}/rules/{rule['id']}")).status_code == 204
    deleted = await product.api.delete(f"{BASE}/connections/{made['id']}")
    assert deleted.status_code == 204


async def test_an_event_becomes_a_recording(product: RunningStack, connection: str) -> None:
    """CAL-11, CAL-12, CAL-16, LC-19: only the event that a rule wants has a bot, on time."""
    customer, operator = Customer(product), Operator(product)
    room = await product.sandbox.create_room(RoomOptions(video=False))
    due = (datetime.now(UTC) + AHEAD).replace(microsecond=0)
    diary = product.google.diary
    diary.put(Entry("inside", due, "Team", people=(ME, BOSS), link=room.guest_url))
    diary.put(Entry("outside", due, "Review", people=(ME, CUSTOMER), link=room.guest_url))

    await operator.run_now("calendar-sync/calendar-sync")
    job_id = await customer.job_from("calendar")
    events = await product.api.get(f"{BASE}/events", params={"connectionId": connection})
    decided = {one["title"]: (one["decision"], one["jobId"]) for one in events.json()["data"]}
    assert decided == {"Team": ("skip", None), "Review": ("record", job_id)}
    await customer.until_recorded(job_id, SECONDS)
    await customer.leave(job_id)

    hidden = (room.guest_token.get_secret_value(), CUSTOMER)
    job, run = await ended(product, job_id, Ended("completed", "leave_requested", hidden=hidden))
    assert (job["source"], job["displayName"]) == ("calendar", "Notes of Ada")
    assert job["metadata"]["calendar"]["title"] == "Review"
    assert "calendar" in run.run["tags"]
    (joining,) = [
        one for one in customer.webhooks(job_id) if one.body["data"]["status"] == "joining"
    ]
    late = datetime.fromisoformat(joining.body["emittedAt"]) - due
    assert timedelta(0) <= late < timedelta(seconds=20), f"{job['createdAt']} for {due}"
    assert all(one.verified for one in customer.webhooks(job_id))
