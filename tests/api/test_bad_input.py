"""What is refused, with the field and what to do about it (CV-10, CV-16)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import MEET, ROOM, Api

pytestmark = pytest.mark.integration

DISCORD = "discord://123456789012345678/223456789012345678"
TOKEN = {"botToken": "t", "guildId": "123456789012345678", "channelId": "223456789012345678"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ["meetingUrl"]),
        ({"externalId": "bad", "meetingUrl": "not-a-url"}, ["meetingUrl"]),
        ({"meetingUrl": "http://meet.google.com/abc-defg-hij"}, ["meetingUrl"]),
        ({"meetingUrl": "https://user@meet.google.com/abc-defg-hij"}, ["meetingUrl"]),
        ({"meetingUrl": "https://meet.google.com/" + "a" * 2048}, ["meetingUrl"]),
        ({"meetingUrl": "https://unknown.example/room"}, ["meetingUrl"]),
        ({"meetingUrl": 7}, ["meetingUrl"]),
        ({"meetingUrl": ROOM}, ["meetingUrl"]),
        ({"url": MEET, "platform": "skype"}, ["platform"]),
        ({"url": MEET, "externalId": ""}, ["externalId"]),
        ({"url": MEET, "externalId": "x" * 256}, ["externalId"]),
        ({"url": MEET, "externalId": "a\u0000b"}, ["externalId"]),
        ({"url": MEET, "displayName": "x" * 65}, ["displayName"]),
        ({"url": MEET, "displayName": "  "}, ["displayName"]),
        ({"url": MEET, "displayName": "a\nb"}, ["displayName"]),
        ({"url": MEET, "joinAt": "2026-05-15T14:00:00"}, ["joinAt"]),
        ({"url": MEET, "joinAt": "tomorrow"}, ["joinAt"]),
        ({"url": MEET, "joinAt": 1780000000}, ["joinAt"]),
        ({"url": MEET, "joinAt": "2027-05-10T14:00:00Z"}, ["joinAt"]),
        ({"url": MEET, "leaveBehavior": "after-silence:5m"}, ["leaveBehavior"]),
        ({"url": MEET, "leaveBehavior": "after-silence:86401s"}, ["leaveBehavior"]),
        ({"url": MEET, "leaveBehavior": "after-silence:0s"}, ["leaveBehavior"]),
        ({"url": MEET, "autoLeave": {"afterSoloSeconds": 0}}, ["autoLeave", "afterSoloSeconds"]),
        ({"url": MEET, "autoLeave": {"afterMaxSeconds": None}}, ["autoLeave", "afterMaxSeconds"]),
        ({"url": MEET, "autoLeave": {"onBotDetected": "yes"}}, ["autoLeave", "onBotDetected"]),
        ({"url": MEET, "autoLeave": []}, ["autoLeave"]),
        ({"url": MEET, "webhooks": {"version": 3}}, ["webhooks", "version"]),
        ({"url": MEET, "webhooks": {"events": ["nope"]}}, ["webhooks", "events", 0]),
        ({"url": MEET, "metadata": []}, ["metadata"]),
        ({"url": MEET, "metadata": {"a": "\u0000"}}, ["metadata"]),
        ({"url": MEET, "recording": {"fps": 31}}, ["recording", "fps"]),
        ({"url": MEET, "recording": {"video": "all"}}, ["recording", "video"]),
        ({"url": MEET, "transcription": {"mode": "byok"}}, ["transcription", "provider"]),
        ({"url": MEET, "transcription": {"provider": "deepgram"}}, ["transcription"]),
        ({"url": MEET, "meetingPassword": ""}, ["meetingPassword"]),
        ({"url": DISCORD}, ["discord", "botToken"]),
        ({"url": DISCORD, "discord": {**TOKEN, "botToken": ""}}, ["discord", "botToken"]),
        ({"url": DISCORD, "discord": {**TOKEN, "guildId": "1"}}, ["discord", "guildId"]),
        ({"url": DISCORD, "discord": {**TOKEN, "guildId": "9" * 18}}, ["discord"]),
        (
            {"url": DISCORD, "discord": TOKEN, "metadata": {"discord": {"botToken": "other"}}},
            ["discord"],
        ),
    ],
)
async def test_each_bad_field_is_named(api: Api, body: dict[str, Any], path: list[Any]) -> None:
    answer = await api.live.post("/api/v1/jobs", json=body)
    assert answer.status_code == 400, answer.text
    content = answer.json()
    assert content["error"] == content["code"] == "invalid_input"
    assert [issue["path"] for issue in content["issues"]] == [path]
    assert all(issue["message"] and issue["code"] for issue in content["issues"])
    assert api.dispatcher.submitted == {}


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/",
        "https://169.254.169.254/latest",
        "https://10.0.0.1/hook",
        "https://[::1]/hook",
        "https://127.0.0.1:9000/hook",
        "http://127.0.0.1:9001/hook",
        "https://db.internal.example/hook",
        "http://hooks.example/",
        "ftp://hooks.example/",
        "https://user:pass@hooks.example/",
        "nonsense",
    ],
)
@pytest.mark.parametrize("spelling", ["nested", "flat"])
async def test_webhooks_may_not_lead_inside(api: Api, target: str, spelling: str) -> None:
    """CV-16."""
    nested = spelling == "nested"
    body = {"webhooks": {"onFinalize": target}} if nested else {"on_finalize_url": target}
    answer = await api.live.post("/api/v1/jobs", json={"url": MEET, **body})
    assert answer.status_code == 400
    path = ["webhooks", "onFinalize"] if nested else ["on_finalize_url"]
    assert answer.json()["issues"][0]["path"] == path


async def test_an_origin_that_the_operator_trusts_is_taken(api: Api) -> None:
    """D13."""
    job = await api.create(webhooks={"onFinalize": "http://127.0.0.1:9000/hook"})
    assert job["webhooks"]["onFinalize"] == "http://127.0.0.1:9000/hook"


async def test_a_jitsi_server_may_not_lead_inside(api: Api) -> None:
    body = {
        "url": "https://meet.jit.si/room",
        "metadata": {"jitsi": {"serverUrl": "https://jitsi.internal.example"}},
    }
    answer = await api.live.post("/api/v1/jobs", json=body)
    assert answer.status_code == 400
    assert answer.json()["issues"][0]["path"] == ["metadata", "jitsi", "serverUrl"]


async def test_metadata_is_bounded(api: Api) -> None:
    """API-58."""
    await api.create(metadata={"a": "x" * (16 * 1024 - 20)})
    answer = await api.live.post(
        "/api/v1/jobs", json={"url": MEET, "metadata": {"a": "x" * 17_000}}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "invalid_json"),
        (b"", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'"text"', "invalid_json"),
        (b'{"url": "x", "metadata": {"a": NaN}}', "invalid_url"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(
    api: Api, content: bytes, code: str
) -> None:
    answer = await api.live.post(
        "/api/v1/jobs", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["issues"][0]["code"] in {code, "invalid_metadata"}


async def test_numbers_that_json_does_not_have_are_refused(api: Api) -> None:
    content = b'{"url": "' + MEET.encode() + b'", "metadata": {"a": Infinity}}'
    answer = await api.live.post(
        "/api/v1/jobs", content=content, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["issues"][0]["path"]) == (400, ["metadata"])


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("limit=0", ["limit"]),
        ("limit=201", ["limit"]),
        ("limit=x", ["limit"]),
        ("cursor=nonsense", ["cursor"]),
        ("cursor=%00", ["cursor"]),
        ("status=lost", ["status"]),
        ("platform=skype", ["platform"]),
        ("externalId=%00", ["externalId"]),
        ("createdAfter=yesterday", ["createdAfter"]),
        ("createdBefore=2026-05-15T14:00:00", ["createdBefore"]),
    ],
)
async def test_bad_queries_are_named(api: Api, query: str, path: list[str]) -> None:
    answer = await api.live.get(f"/api/v1/jobs?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["issues"][0]["path"] == path
