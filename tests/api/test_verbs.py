"""Verbs for live bots over HTTP (API-04 to API-13, API-67 to API-69, API-72)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from api.schemas.verbs import DEFAULT_REQUEST
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import TERMINAL, Event, Status
from core.jobs.media import screenshot_key
from core.jobs.models import Job
from core.jobs.settlement import Settlement, settle
from core.jobs.verbs import Outcome, Verb
from tests.api.conftest import Api
from tests.api.test_errors import check

pytestmark = pytest.mark.integration

VERBS: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "request-recording-permission": ({"message": "May I?"}, {"message": "May I?"}),
    "pause-recording": (None, {}),
    "stop-recording": (None, {}),
    "send-chat-message": ({"message": "  hello\nall "}, {"message": "hello\nall"}),
    "pin-participant": (
        {"display_name": "Ada Park"},
        {"participantId": None, "displayName": "Ada Park"},
    ),
}
ALL = [*VERBS, "resume-recording", "start-recording", "screenshot", "leave-call"]


async def ask(api: Api, job: Job, verb: str, body: Any = None) -> httpx.Response:
    return await api.live.post(f"/api/v1/jobs/{job.id}/{verb}", json=body)


async def ended(api: Api, job: Job, **how: Any) -> None:
    async with api.book.database.begin() as session:
        ending = Settlement(**({"exit_reason": ExitReason.LEAVE_REQUESTED} | how))
        await settle(session, job.id, ending, now=api.book.now)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_is_accepted_and_told_to_the_bot(api: Api, verb: str) -> None:
    """API-67: 202 means queued for the bot."""
    job = await api.live_job()
    body, payload = VERBS[verb]
    answer = await ask(api, job, verb, body)
    assert answer.status_code == 202, answer.text
    result = answer.json()
    assert re.fullmatch("cmd_[0-9A-HJKMNP-TV-Z]{26}", result["commandId"])
    assert result == {
        "jobId": job.id,
        "verb": verb,
        "accepted": True,
        "commandId": result["commandId"],
        "issuedAt": "2026-05-09T14:00:00.000Z",
    }
    (told,) = await api.told(job)
    assert (told.id, told.verb, told.payload) == (result["commandId"], verb, payload)


async def test_permission_is_asked_in_default_words(api: Api) -> None:
    """API-69: no body, and an empty one."""
    job = await api.live_job()
    url = f"/api/v1/jobs/{job.id}/request-recording-permission"
    for answer in (await api.live.post(url), await api.live.post(url, json={})):
        assert answer.status_code == 202
    assert [told.payload for told in await api.told(job)] == [{"message": DEFAULT_REQUEST}] * 2


async def test_the_recording_goes_through_its_states(api: Api) -> None:
    """API-05, API-06, API-07, API-11, LC-05."""
    job = await api.live_job()

    async def does(verb: str, event: Event) -> None:
        answer = await ask(api, job, verb)
        assert answer.status_code == 202, answer.text
        await api.book.report(job, event, job.fence)
        await api.settle(answer.json()["commandId"], Outcome.DONE)

    async def refuses(*verbs: str) -> None:
        for verb in verbs:
            answer = await ask(api, job, verb)
            check(answer, 409, "conflict", "invalid_state")

    await refuses("resume-recording", "start-recording")
    await does("pause-recording", Event.RECORDING_PAUSED)
    await refuses("pause-recording", "start-recording")
    await does("resume-recording", Event.RECORDING_RESUMED)
    await does("stop-recording", Event.RECORDING_STOPPED)
    await refuses("pause-recording", "resume-recording", "stop-recording")
    await does("start-recording", Event.MEDIA_CAPTURED)
    assert (await api.book.read(job)).status is Status.RECORDING


async def test_who_pauses_may_resume_before_the_bot_has_paused(api: Api) -> None:
    job = await api.live_job()
    assert (await ask(api, job, "pause-recording")).status_code == 202
    check(await ask(api, job, "pause-recording"), 409, "conflict", "invalid_state")
    assert (await ask(api, job, "resume-recording")).status_code == 202


@pytest.mark.parametrize(
    "status", [s for s in Status if s not in {Status.IN_MEETING, Status.RECORDING}]
)
async def test_verbs_need_a_bot_in_the_meeting(api: Api, status: Status) -> None:
    """API-68: the refusal names the current status."""
    before = {Status.QUEUED, Status.JOINING, Status.ENTERING_LOBBY}
    job = await api.live_job(Status.FINALIZING if status in TERMINAL else status)
    if status in TERMINAL:
        failing = {"failure_code": "network_loss"} if status is Status.FAILED else {}
        await ended(api, job, cancelled=status is Status.CANCELLED, **failing)
    for verb in ALL:
        answer = await ask(api, job, verb, VERBS.get(verb, (None, {}))[0])
        if verb == "leave-call" and status in before:
            assert answer.status_code == 202
        else:
            check(answer, 409, "conflict", "invalid_state")
            assert status.value in answer.json()["message"]


async def test_strangers_have_no_job_to_tell(api: Api) -> None:
    """CV-11, CV-12."""
    job = await api.live_job()
    for verb in ALL:
        body = VERBS.get(verb, (None, {}))[0]
        answer = await api.test.post(f"/api/v1/jobs/{job.id}/{verb}", json=body)
        check(answer, 404, "not_found", "not_found")
    assert await api.told(job) == []


@pytest.mark.parametrize("verb", ["pin-participant", "screenshot"])
async def test_discord_has_no_tiles_and_no_page(api: Api, verb: str) -> None:
    """API-12, API-13: whatever state the job is in."""
    job = await api.book.add(platform="discord")
    answer = await ask(api, job, verb, VERBS.get(verb, (None, {}))[0])
    check(answer, 409, "conflict", "unsupported_on_platform")
    assert "Discord" in answer.json()["message"]


@pytest.mark.parametrize(
    ("verb", "body", "path"),
    [
        ("send-chat-message", None, []),
        ("send-chat-message", {}, ["message"]),
        ("send-chat-message", {"message": " \n "}, ["message"]),
        ("send-chat-message", {"message": "x" * 501}, ["message"]),
        ("send-chat-message", {"message": "a\x00b"}, ["message"]),
        ("send-chat-message", {"message": 7}, ["message"]),
        ("request-recording-permission", {"message": ""}, ["message"]),
        ("pin-participant", {}, []),
        ("pin-participant", {"participantId": "prt_1", "displayName": "Ada"}, []),
        ("pin-participant", {"participantId": "p", "participant_id": "q"}, ["participantId"]),
        ("pin-participant", {"displayName": "a\tb"}, ["displayName"]),
    ],
)
async def test_bad_bodies_are_named(api: Api, verb: str, body: Any, path: list[str]) -> None:
    """API-69, CV-10."""
    job = await api.live_job()
    answer = await ask(api, job, verb, body)
    check(answer, 400, "invalid_input", "invalid_input")
    assert [issue["path"] for issue in answer.json()["issues"]] == [path]
    assert await api.told(job) == []


async def told_screenshot(api: Api, job: Job) -> str:
    async with asyncio.timeout(10):
        while not (told := await api.told(job)):
            await asyncio.sleep(0.01)
    assert [one.verb for one in told] == [Verb.SCREENSHOT]
    return told[0].id


async def test_a_screenshot_is_waited_for(api: Api) -> None:
    """API-13, API-72: where it lies is ours to say, whatever the bot says."""
    job = await api.live_job()
    asking = asyncio.create_task(ask(api, job, "screenshot"))
    command_id = await told_screenshot(api, job)
    key = screenshot_key(job.id, command_id)
    await asyncio.to_thread(api.storage.put_bytes, key, b"\x89PNG", "image/png")
    taken = {"width": 1280, "height": 720, "takenAt": "2026-05-09T13:59:59Z", "bytes": 4}
    elsewhere = {"key": "recordings/job_other/manifest.json"}
    await api.settle(command_id, Outcome.DONE, result=taken | elsewhere)
    answer = await asyncio.wait_for(asking, 10)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    link = shown.pop("url")
    assert shown == {
        "uri": f"s3://local/{key}",
        "mimeType": "image/png",
        "width": 1280,
        "height": 720,
        "takenAt": "2026-05-09T13:59:59.000Z",
    }
    assert key in link
    assert "signature=" in link


@pytest.mark.parametrize(
    ("outcome", "detail", "result", "expected"),
    [
        (Outcome.REFUSED, "The page is gone.", None, (409, "conflict", "invalid_state")),
        (Outcome.UNKNOWN, "The bot died.", None, (503, "unavailable", "unavailable")),
        (Outcome.DONE, "", {"width": "wide"}, (503, "unavailable", "unavailable")),
    ],
    ids=["refused", "unknown", "nonsense"],
)
async def test_a_screenshot_that_was_not_taken(
    api: Api,
    outcome: Outcome,
    detail: str,
    result: dict[str, Any] | None,
    expected: tuple[int, str, str],
) -> None:
    job = await api.live_job()
    asking = asyncio.create_task(ask(api, job, "screenshot"))
    command_id = await told_screenshot(api, job)
    await api.settle(command_id, outcome, detail=detail, result=result)
    answer = await asyncio.wait_for(asking, 10)
    check(answer, *expected)
    assert detail in answer.json()["message"]


async def test_a_slow_bot_is_not_waited_for_and_keeps_its_command(api: Api) -> None:
    job = await api.live_job()
    asking = asyncio.create_task(ask(api, job, "screenshot"))
    command_id = await told_screenshot(api, job)
    api.book.clock.advance(16)
    answer = await asyncio.wait_for(asking, 10)
    check(answer, 503, "unavailable", "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert [told.id for told in await api.told(job)] == [command_id]
