"""Deliveries over HTTP: listed, sent again, replayed (API-34, API-35, API-82, WH-13, WH-28)."""

from __future__ import annotations

import pytest
from sqlmodel import col, select

from core.jobs.lifecycle import Event, Status
from core.jobs.models import Job
from core.webhooks.models import Delivery, DeliveryAttempt, DeliveryStatus
from tests.api.conftest import Api
from tests.api.credentials import log_in

pytestmark = pytest.mark.integration

LIST = "/api/v1/webhooks/deliveries"
REPLAY = "/api/v1/webhooks/replay"


async def deliveries(api: Api, job: Job) -> list[Delivery]:
    async with api.book.database.begin() as session:
        own = select(Delivery).where(Delivery.job_id == job.id).order_by(col(Delivery.seq))
        return list((await session.exec(own)).all())


async def end(api: Api, delivery: Delivery, status: DeliveryStatus, *codes: int) -> None:
    """What the courier writes down after so many attempts."""
    async with api.book.database.begin() as session:
        row = await session.get_one(Delivery, delivery.id)
        row.status, row.attempts, row.next_attempt_at = status, len(codes), None
        for number, code in enumerate(codes, 1):
            session.add(
                DeliveryAttempt(
                    delivery_id=row.id,
                    attempt=number,
                    at=api.book.now,
                    status_code=code,
                    latency_ms=12,
                )
            )


async def test_a_delivery_is_shown_with_all_its_attempts(api: Api) -> None:
    """API-82, WH-27."""
    job = await api.live_job(Status.JOINING)
    (row,) = await deliveries(api, job)
    await end(api, row, DeliveryStatus.DELIVERED, 500, 500, 200)
    answer = await api.live.get(f"{LIST}/{row.id}")
    assert answer.status_code == 200
    assert answer.json() == {
        "deliveryId": row.id,
        "jobId": job.id,
        "event": "job.status_changed",
        "url": "https://hooks.example/meetbot",
        "status": "delivered",
        "attempts": [
            {
                "attempt": number,
                "at": "2026-05-09T14:00:00.000Z",
                "statusCode": code,
                "latencyMs": 12,
                "error": None,
            }
            for number, code in ((1, 500), (2, 500), (3, 200))
        ],
        "nextAttemptAt": None,
        "resendOf": None,
        "livemode": True,
        "createdAt": "2026-05-09T14:00:00.000Z",
    }
    assert (await api.live.get(LIST)).json()["data"] == [answer.json()]
    person = await log_in(api.book, "ada@example.com")
    assert (await api.anonymous.get(LIST, headers=person.headers)).json()["data"] == []


async def test_the_list_is_newest_first_in_pages_and_filtered(api: Api) -> None:
    """CV-13."""
    jobs = [await api.live_job(Status.IN_MEETING) for _ in range(3)]
    rows = [row for job in jobs for row in await deliveries(api, job)]
    await end(api, rows[0], DeliveryStatus.EXHAUSTED, 410)
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": "4"} | ({"cursor": cursor} if cursor else {})
        page = (await api.live.get(LIST, params=query)).json()
        seen += [one["deliveryId"] for one in page["data"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == sorted((row.id for row in rows), reverse=True)

    async def found(**query: str) -> set[str]:
        answer = await api.live.get(LIST, params=query)
        return {one["deliveryId"] for one in answer.json()["data"]}

    assert await found(status="failed") == {rows[0].id}
    assert await found(status="pending") == {row.id for row in rows[1:]}
    assert await found(jobId=jobs[1].id[4:]) == {r.id for r in rows if r.job_id == jobs[1].id}
    assert await found(jobId="no id\x00") == set()
    assert await found(event="job.failed") == set()
    assert (await api.live.get(LIST, params={"status": "lost"})).status_code == 400


async def test_what_was_never_addressed_is_no_delivery(api: Api) -> None:
    """API-64: it is on the stream only."""
    job = await api.live_job(Status.JOINING, webhooks=None)
    (row,) = await deliveries(api, job)
    assert row.status is DeliveryStatus.UNADDRESSED
    assert (await api.live.get(LIST)).json()["data"] == []
    assert (await api.live.get(f"{LIST}/{row.id}")).status_code == 404
    assert (await api.live.post(f"{LIST}/{row.id}/resend")).status_code == 404
    replayed = {"since": "2026-01-01T00:00:00Z", "status": "any"}
    api.book.clock.advance(1)
    assert (await api.live.post(REPLAY, json=replayed)).json()["deliveries"] == []


async def test_a_resend_is_a_new_delivery_of_the_same_event(api: Api) -> None:
    """WH-28; also of one that arrived, and of a resend."""
    job = await api.live_job(Status.JOINING)
    (first,) = await deliveries(api, job)
    await end(api, first, DeliveryStatus.DELIVERED, 200)
    again = await api.live.post(f"{LIST}/{first.id}/resend")
    assert again.status_code == 202
    shown = again.json()
    assert (shown["status"], shown["attempts"], shown["resendOf"]) == ("pending", [], first.id)
    assert shown["deliveryId"] != first.id
    third = (await api.live.post(f"{LIST}/{shown['deliveryId']}/resend")).json()
    assert third["resendOf"] == first.id
    rows = await deliveries(api, job)
    assert [(row.event, row.data, row.emitted_at) for row in rows] == 3 * [
        (first.event, first.data, first.emitted_at)
    ]


async def test_a_replay_goes_in_pages_and_makes_nothing_twice(api: Api) -> None:
    job = await api.live_job(Status.FINALIZING)
    lost = await deliveries(api, job)
    assert len(lost) == 4
    for row in lost:
        await end(api, row, DeliveryStatus.EXHAUSTED, 500)
    api.book.clock.advance(3600)
    body = {"since": "2026-05-09T14:00:00Z", "replayId": "evening-1", "limit": 3}
    first = (await api.live.post(REPLAY, json=body)).json()
    assert (len(first["deliveries"]), first["replayId"]) == (3, "evening-1")
    repeated = (await api.live.post(REPLAY, json=body)).json()
    assert (repeated["deliveries"], repeated["nextCursor"]) == ([], first["nextCursor"])
    rest = body | {"cursor": first["nextCursor"]}
    second = (await api.live.post(REPLAY, json=rest)).json()
    assert (len(second["deliveries"]), second["nextCursor"]) == (1, None)
    again = (await deliveries(api, job))[4:]
    assert [row.resend_of for row in again] == [row.id for row in lost]
    assert [row.id for row in again] == first["deliveries"] + second["deliveries"]


async def test_a_replay_leaves_alone_what_arrived_or_is_on_its_way(api: Api) -> None:
    job = await api.live_job(Status.RECORDING)
    arrived, lost, pending = await deliveries(api, job)
    await end(api, arrived, DeliveryStatus.DELIVERED, 200)
    await end(api, lost, DeliveryStatus.EXHAUSTED, 500)
    api.book.clock.advance(60)
    since = {"since": "2026-05-09T13:00:00+00:00"}
    # Without a name of its own the second finds that the first has begun to send it.
    assert len((await api.live.post(REPLAY, json=since)).json()["deliveries"]) == 1
    assert (await api.live.post(REPLAY, json=since)).json()["deliveries"] == []
    both = (await api.live.post(REPLAY, json=since | {"status": "any"})).json()
    assert len(both["deliveries"]) == 2
    only = since | {"status": "delivered", "event": "job.failed"}
    assert (await api.live.post(REPLAY, json=only)).json()["deliveries"] == []
    assert {row.resend_of for row in await deliveries(api, job)} == {None, arrived.id, lost.id}
    assert pending.id not in {row.resend_of for row in await deliveries(api, job)}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"since": "2027-01-01T00:00:00Z"},
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"since": "2026-01-01T00:00:00"},
        {"since": "2026-01-01T00:00:00Z", "replayId": "no spaces"},
        {"since": "2026-01-01T00:00:00Z", "limit": 201},
        {"since": "2026-01-01T00:00:00Z", "cursor": "nonsense"},
    ],
)
async def test_what_cannot_be_replayed_is_refused(api: Api, body: dict[str, object]) -> None:
    answer = await api.live.post(REPLAY, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_the_teams_version_is_that_of_jobs_which_name_none(api: Api) -> None:
    """WH-13."""
    settings = "/api/v1/settings/webhooks"
    none = {"onFinalize": None, "events": None}
    assert (await api.live.get(settings)).json() == {"version": 2} | none
    for wrong in (3, None):
        assert (await api.live.put(settings, json={"version": wrong})).status_code == 400
    assert (await api.live.put(settings, json={"version": 1})).json() == {"version": 1} | none
    assert (await api.live.get(settings)).json() == {"version": 1} | none
    target = {"onFinalize": "https://hooks.example/x"}
    assert (await api.create(webhooks=target))["webhooks"]["version"] == 1
    assert (await api.create(webhooks=target | {"version": 2}))["webhooks"]["version"] == 2
    old = await api.live_job(Status.QUEUED, webhooks=None)
    fence = await api.book.take(old)
    await api.book.report(old, Event.BOT_STARTED, fence)
    assert [row.version for row in await deliveries(api, old)] == [1]


async def test_jobs_that_name_no_address_get_the_teams(api: Api) -> None:
    """WH-13: jobs of invites and calendars have nowhere else to get it from."""
    settings = "/api/v1/settings/webhooks"
    inside = await api.live.put(settings, json={"onFinalize": "https://10.0.0.1/x"})
    assert inside.status_code == 400
    assert inside.json()["issues"][0]["path"] == ["onFinalize"]
    chosen = {"onFinalize": "https://hooks.example/team", "events": ["job.finalized"]}
    answer = await api.live.put(settings, json=chosen)
    assert answer.json() == {"version": 2} | chosen
    assert (await api.live.put(settings, json={"version": 1})).json() == {"version": 1} | chosen
    assert (await api.create())["webhooks"] == {"version": 1} | chosen
    own = {"onFinalize": "https://hooks.example/own"}
    assert (await api.create(webhooks=own))["webhooks"] == own | {"version": 1, "events": None}
    cleared = await api.live.put(settings, json={"onFinalize": None, "events": None})
    assert cleared.json() == {"version": 1, "onFinalize": None, "events": None}
    assert (await api.create())["webhooks"] is None
