"""`POST /api/v1/jobs`: spellings, defaults, dispatch, idempotency (API-01, API-50 to API-62)."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from core.dispatch.reconciling import Reconciler
from core.jobs.creation import open_secrets
from core.jobs.document import job_spec
from core.jobs.service import find_job
from tests.api.conftest import MEET, ROOM, Api
from tests.core.dispatch.runs import MemoryRuns

pytestmark = pytest.mark.integration

HOOK = "https://hooks.example/meetbot"


async def test_a_created_job_is_queued_and_has_a_flow_run(api: Api) -> None:
    """API-01, CV-06, AR-03."""
    job = await api.create(externalId="order-1")
    assert re.fullmatch("job_[0-9A-HJKMNP-TV-Z]{26}", job["id"])
    assert (job["status"], job["platform"], job["livemode"]) == ("queued", "meet", True)
    assert api.dispatcher.submitted == {job["id"]: api.book.now}
    assert api.dispatcher.tags[job["id"]] == [job["id"], "meet", api.book.team_id, "api"]
    async with api.book.database.begin() as session:
        rows = await (await session.connection()).execute(text("SELECT flow_run_id FROM jobs"))
    assert rows.scalar_one() == f"run-{job['id']}"


async def test_zooms_engine_is_chosen_in_the_metadata_or_by_the_platforms_name(api: Api) -> None:
    """PL-25, API-52."""
    url = "https://acme.zoom.us/j/9123456789"
    asked = await api.create(meetingUrl=url, metadata={"zoom": {"engine": "sdk"}, "crm": 7})
    assert asked["metadata"] == {"zoom": {"engine": "sdk"}, "crm": 7}
    named = await api.create(meetingUrl=url, platform="zoom_sdk", metadata={"crm": 7})
    assert (named["platform"], named["metadata"]) == ("zoom", {"zoom": {"engine": "sdk"}, "crm": 7})
    async with api.book.database.begin() as session:
        row = await find_job(session, named["id"])
    await api.book.take(row)
    async with api.book.database.begin() as session:
        row = await find_job(session, named["id"])
    assert job_spec(row, api.book.box).engine == "sdk"
    for wrong in ({"engine": "phone"}, {"engine": "web"}):
        answer = await api.live.post(
            "/api/v1/jobs",
            json={"meetingUrl": url, "platform": "zoom_sdk", "metadata": {"zoom": wrong}},
        )
        assert answer.status_code == 400
        assert answer.json()["issues"][0]["path"] == ["metadata", "zoom", "engine"]


async def test_the_whole_job_with_its_defaults(api: Api) -> None:
    """API-65, LC-24: absent values are null, never missing."""
    job = await api.create()
    assert job == {
        "id": job["id"],
        "externalId": job["id"],
        "source": "api",
        "platform": "meet",
        "meetingUrl": MEET,
        "url": MEET,
        "status": "queued",
        "recordingState": "not_started",
        "displayName": "meetbot",
        "joinAt": None,
        "leaveBehavior": None,
        "autoLeave": {
            "afterEntryDelaySeconds": 600,
            "afterMaxSeconds": 14400,
            "afterSilenceSeconds": 600,
            "afterSoloSeconds": 120,
            "onBotDetected": False,
        },
        "recording": {"video": "tab", "fps": 10},
        "transcription": {"mode": "off", "provider": None, "language": None, "wait": True},
        "webhooks": None,
        "metadata": {},
        "manifestUri": None,
        "startedAt": None,
        "endedAt": None,
        "durationSeconds": None,
        "exitReason": None,
        "billed": None,
        "hoursBilled": None,
        "amountUsd": None,
        "failure_code": None,
        "failureCode": None,
        "failure_detail": None,
        "failure_reason": None,
        "adapterError": None,
        "attempt": 1,
        "progress": None,
        "evidence": [],
        "region": "eu",
        "livemode": True,
        "createdAt": "2026-05-09T14:00:00.000Z",
        "updatedAt": "2026-05-09T14:00:00.000Z",
    }


@pytest.mark.parametrize("field", ["meetingUrl", "meeting_url", "url"])
async def test_the_link_is_taken_under_three_names(api: Api, field: str) -> None:
    """API-50, CON-16."""
    answer = await api.live.post("/api/v1/jobs", json={field: MEET})
    assert answer.status_code == 201
    assert answer.json()["meetingUrl"] == answer.json()["url"] == MEET


FULL: dict[str, tuple[str, Any]] = {
    "externalId": ("external_id", "order-2"),
    "displayName": ("display_name", "Notes"),
    "joinAt": ("join_at", "2026-05-15T14:00:00+02:00"),
    "leaveBehavior": ("leave_behavior", "after-silence:300s"),
    "autoLeave": ("auto_leave", {"afterSoloSeconds": None, "on_bot_detected": True}),
    "onFinalizeUrl": ("on_finalize_url", HOOK),
    "meetingPassword": ("meeting_password", "open sesame"),
}


async def test_both_spellings_make_equal_jobs(api: Api) -> None:
    """CV-03, CON-12."""
    camel = await api.create(**{name: value for name, (_, value) in FULL.items()})
    snake_body = dict(FULL.values()) | {"external_id": "order-3"}
    snake = await api.create(**snake_body)
    own = {"id", "externalId"}
    assert {k: v for k, v in camel.items() if k not in own} == {
        k: v for k, v in snake.items() if k not in own
    }
    assert camel["joinAt"] == "2026-05-15T12:00:00.000Z"
    assert camel["webhooks"] == {"onFinalize": HOOK, "version": 2, "events": None}
    assert camel["autoLeave"]["afterSilenceSeconds"] == 300
    assert camel["autoLeave"]["afterSoloSeconds"] is None
    assert camel["autoLeave"]["onBotDetected"] is True


async def test_equal_values_in_two_spellings_are_fine_and_unknown_fields_ignored(api: Api) -> None:
    """CV-03, CV-04."""
    await api.create(meeting_url=MEET, url=MEET, foo=1, autoLeave={"bar": 2})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"meeting_url": "https://meet.google.com/xyz-defg-hij"}, ["meetingUrl"]),
        ({"displayName": "A", "display_name": "B"}, ["displayName"]),
        (
            {"autoLeave": {"afterSoloSeconds": 1, "after_solo_seconds": 2}},
            ["autoLeave", "afterSoloSeconds"],
        ),
        ({"webhooks": {"onFinalize": HOOK}, "on_finalize_url": HOOK + "2"}, ["webhooks"]),
    ],
    ids=["link", "name", "nested", "target"],
)
async def test_spellings_that_differ_are_refused(
    api: Api, body: dict[str, Any], path: list[str]
) -> None:
    """CV-03."""
    answer = await api.live.post("/api/v1/jobs", json={"meetingUrl": MEET} | body)
    assert answer.status_code == 400
    (issue,) = answer.json()["issues"]
    assert (issue["path"], issue["code"]) == (path, "conflicting_spellings")


async def test_the_same_external_id_finds_the_first_job(api: Api) -> None:
    """API-51, LC-31: also when the job is over by then."""
    first = await api.create(externalId="order-4")
    await api.live.delete(f"/api/v1/jobs/{first['id']}")
    again = await api.live.post(
        "/api/v1/jobs", json={"url": MEET, "external_id": "order-4", "displayName": "Other"}
    )
    assert again.status_code == 200
    assert again.headers["x-meetbot-idempotent-replay"] == "true"
    assert (again.json()["id"], again.json()["status"]) == (first["id"], "cancelled")
    assert len(api.dispatcher.submitted) == 1


async def test_many_at_once_with_one_external_id_make_one_job(api: Api) -> None:
    body = {"meetingUrl": MEET, "externalId": "order-5"}
    answers = await asyncio.gather(*(api.live.post("/api/v1/jobs", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_the_two_worlds_of_a_team_do_not_share_external_ids(api: Api) -> None:
    """CV-12."""
    await api.create(externalId="order-6")
    answer = await api.test.post("/api/v1/jobs", json={"url": MEET, "externalId": "order-6"})
    assert answer.status_code == 201
    assert answer.json()["livemode"] is False


async def test_a_later_join_is_dispatched_ahead_of_its_time(api: Api) -> None:
    """API-54, D24: due at joinAt, started one to two leads earlier, queued until then."""
    job = await api.create(joinAt="2026-05-09T15:00:00Z")
    assert job["status"] == "queued"
    ahead = api.book.now + timedelta(hours=1) - api.dispatcher.submitted[job["id"]]
    assert timedelta(seconds=60) <= ahead <= timedelta(seconds=120)


@pytest.mark.parametrize("join_at", [None, "2026-05-09T13:59:59Z"])
async def test_no_time_or_a_past_one_means_now(api: Api, join_at: str | None) -> None:
    job = await api.create(joinAt=join_at)
    assert job["joinAt"] is None
    assert api.dispatcher.submitted[job["id"]] == api.book.now


async def test_a_job_survives_a_dispatcher_that_is_down(api: Api) -> None:
    """D2: accepted all the same; the row is the truth, and the repair makes its run."""
    api.dispatcher.down = True
    job = await api.create()
    book, runs = api.book, MemoryRuns(api.book.clock)
    book.clock.advance(6)
    made = await Reconciler(book.database, runs, book.clock, lead_seconds=60).round()
    assert made.made == 1
    assert list(runs.keys) == [job["id"]]


@pytest.mark.parametrize(
    ("behavior", "explicit", "expected"),
    [
        ("explicit", {}, {"afterSilenceSeconds": None, "afterSoloSeconds": None}),
        ("explicit", {"afterSoloSeconds": 9}, {"afterSilenceSeconds": None, "afterSoloSeconds": 9}),
        ("after-silence:300s", {}, {"afterSilenceSeconds": 300}),
        ("after-silence:300s", {"afterSilenceSeconds": 9}, {"afterSilenceSeconds": 9}),
        ("when-host-leaves", {}, {"afterSilenceSeconds": 600, "afterSoloSeconds": 120}),
    ],
)
async def test_leave_behavior_and_explicit_numbers(
    api: Api, behavior: str, explicit: dict[str, Any], expected: dict[str, Any]
) -> None:
    """LC-20 to LC-23."""
    job = await api.create(leaveBehavior=behavior, autoLeave=explicit)
    assert job["autoLeave"] | expected == job["autoLeave"]
    assert job["leaveBehavior"] == behavior


async def test_a_test_key_keeps_the_platform_and_drives_the_sandbox(api: Api) -> None:
    """AU-06, D13."""
    scripted = (await api.test.post("/api/v1/jobs", json={"url": MEET})).json()
    own_room = (await api.test.post("/api/v1/jobs", json={"url": ROOM})).json()
    assert (scripted["platform"], own_room["platform"]) == ("meet", "sandbox")
    async with api.book.database.begin() as session:
        rows = await (await session.connection()).execute(
            text("SELECT driver, room_url FROM jobs ORDER BY id")
        )
    assert [tuple(row) for row in rows] == [("sandbox", None), ("sandbox", ROOM)]


async def test_secrets_are_sealed_and_never_come_back(api: Api) -> None:
    """CV-15, API-60, API-62, API-66, AU-17, CON-64."""
    body = {
        "meetingUrl": "discord://123456789012345678/223456789012345678",
        "meetingPassword": "marker-password",
        "metadata": {
            "a": 1,
            "discord": {
                "botToken": "marker-token",
                "guildId": "123456789012345678",
                "channelId": "223456789012345678",
            },
        },
    }
    answer = await api.live.post("/api/v1/jobs", json=body)
    assert answer.status_code == 201
    ids = {"guildId": "123456789012345678", "channelId": "223456789012345678"}
    assert answer.json()["metadata"] == {"a": 1, "discord": ids}
    assert answer.json()["autoLeave"]["afterEntryDelaySeconds"] == 300
    async with api.book.database.begin() as session:
        rows = await (await session.connection()).execute(text("SELECT j::text FROM jobs j"))
        dump = str(rows.all())
    assert "marker" not in answer.text + dump
    listed = await api.live.get("/api/v1/jobs")
    assert "marker" not in listed.text
    async with api.book.database.begin() as session:
        row = await find_job(session, answer.json()["id"])
    opened = open_secrets(api.book.box, row)
    assert {name: secret.get_secret_value() for name, secret in opened.items()} == {
        "meetingPassword": "marker-password",
        "discordBotToken": "marker-token",
    }
