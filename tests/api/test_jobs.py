"""Reading, listing, cancelling and leaving (API-02, API-03, API-08, API-10)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from ulid import ULID

from api.routes import jobs as job_routes
from core.jobs import commands
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Event, Status
from core.jobs.models import Job
from core.jobs.notices import CompetingBot, Consent, competing_bot_seen, consent_answered
from core.jobs.service import LiveProgress, save_progress
from core.jobs.settlement import Settlement, settle
from core.jobs.verbs import Outcome, Verb
from tests.api.conftest import Api, client, key_of
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration


async def ended(book: JobBook, job: Job, **how: Any) -> None:
    await book.bring_to(job, Status.FINALIZING)
    settlement = Settlement(**({"exit_reason": ExitReason.LEAVE_REQUESTED} | how))
    async with book.database.begin() as session:
        await settle(session, job.id, settlement, now=book.now)


@pytest.fixture
async def stranger(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    other = await JobBook.open(api.book.database, api.book.box, api.book.clock)
    transport = httpx.ASGITransport(api.app)
    async with client(transport, await key_of(other, livemode=True)) as opened:
        yield opened


async def test_a_job_is_found_by_every_spelling_of_its_id(api: Api) -> None:
    """API-02, CV-07."""
    job = await api.create()
    ulid = job["id"].removeprefix("job_")
    for spelling in (job["id"], ulid, ulid.lower(), str(ULID.from_str(ulid).to_uuid())):
        answer = await api.live.get(f"/api/v1/jobs/{spelling}")
        assert (answer.status_code, answer.json()["id"]) == (200, job["id"])


async def test_strangers_and_the_other_mode_see_no_job(
    api: Api, stranger: httpx.AsyncClient
) -> None:
    """CV-11, CV-12: not found, never forbidden."""
    job = await api.create()
    routes = [("GET", ""), ("DELETE", ""), ("POST", "/leave-call"), ("GET", "/events")]
    for other in (api.test, stranger):
        for method, path in routes:
            answer = await other.request(method, f"/api/v1/jobs/{job['id']}{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await other.get("/api/v1/jobs")).json()["data"] == []


async def test_a_completed_and_a_failed_job_show_how_they_ended(api: Api) -> None:
    """API-65, FC-03, FC-07."""
    done, kicked = await api.book.add(), await api.book.add()
    uri = "s3://bucket/recordings/x/manifest.json"
    await ended(api.book, done, recorded_seconds=4253, manifest_uri=uri)
    failed = {"failure_code": FailureCode.REMOVED_FROM_MEETING, "failure_detail": "Kicked."}
    await ended(api.book, kicked, recorded_seconds=59, exit_reason=ExitReason.KICKED, **failed)
    shown = (await api.live.get(f"/api/v1/jobs/{done.id}")).json()
    assert (
        shown
        | {
            "status": "completed",
            "durationSeconds": 4253,
            "billed": True,
            "hoursBilled": 1.181,
            "amountUsd": 0.354,
            "manifestUri": uri,
            "exitReason": "leave_requested",
            "failure_code": None,
            "endedAt": "2026-05-09T14:00:00.000Z",
        }
        == shown
    )
    shown = (await api.live.get(f"/api/v1/jobs/{kicked.id}")).json()
    assert (
        shown
        | {
            "status": "failed",
            "billed": False,
            "hoursBilled": 0,
            "failure_code": "removed_from_meeting",
            "failureCode": "removed_from_meeting",
            "failure_detail": "Kicked.",
            "failure_reason": "Kicked.",
            "exitReason": "kicked",
        }
        == shown
    )


async def test_pages_hold_every_job_once_newest_first(api: Api) -> None:
    """CV-13."""
    created = [(await api.book.add()).id for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await api.live.get("/api/v1/jobs", params=query)).json()
        seen += [job["id"] for job in page["data"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == sorted(created, reverse=True)


async def test_filters(api: Api) -> None:
    """API-10, API-70, CON-01, CON-03, CON-05."""
    in_room, recording, gone = [await api.book.add(platform=p) for p in ("meet", "zoom", "zoom")]
    await api.book.bring_to(in_room, Status.IN_MEETING)
    await api.book.bring_to(recording, Status.RECORDING)
    await api.live.delete(f"/api/v1/jobs/{gone.id}")

    async def found(**query: str) -> set[str]:
        answer = await api.live.get("/api/v1/jobs", params=query)
        return {job["id"] for job in answer.json()["data"]}

    assert await found(status="in_meeting") == {in_room.id, recording.id}
    assert await found(status="in_call") == {in_room.id, recording.id}
    assert await found(status="recording") == {recording.id}
    assert await found(status="canceled") == await found(status="cancelled") == {gone.id}
    assert await found(status="recording,cancelled", platform="zoom") == {recording.id, gone.id}
    assert await found(platform="google_meet") == {in_room.id}
    assert await found(externalId=gone.external_id) == {gone.id}
    assert await found(createdAfter="2026-05-09T14:00:00Z") == set()
    assert len(await found(createdBefore="2026-05-09T16:00:01+02:00")) == 3


async def test_cancelling_a_queued_job_ends_it_and_its_run(api: Api) -> None:
    """API-03, AR-13."""
    job = await api.create()
    for _ in range(2):
        assert (await api.live.delete(f"/api/v1/jobs/{job['id']}")).status_code == 204
    assert (await api.live.get(f"/api/v1/jobs/{job['id']}")).json()["status"] == "cancelled"
    assert set(api.dispatcher.cancelled) == {f"run-{job['id']}"}


async def test_cancelling_works_while_the_dispatcher_is_down(api: Api) -> None:
    job = await api.create()
    api.dispatcher.down = True
    assert (await api.live.delete(f"/api/v1/jobs/{job['id']}")).status_code == 204


async def test_a_living_bot_is_told_and_its_run_left_alone(api: Api) -> None:
    """D4: the bot delivers first and ends its own run."""
    job = await api.book.add()
    await api.book.bring_to(job, Status.RECORDING)
    assert (await api.live.delete(f"/api/v1/jobs/{job.id}")).status_code == 204
    assert (await api.live.get(f"/api/v1/jobs/{job.id}")).json()["status"] == "recording"
    assert api.dispatcher.cancelled == []


async def test_what_is_over_or_finalizing_cannot_be_cancelled(api: Api) -> None:
    job = await api.book.add()
    await ended(api.book, job)
    answer = await api.live.delete(f"/api/v1/jobs/{job.id}")
    assert (answer.status_code, answer.json()["error"]) == (409, "conflict")
    assert answer.json()["code"] == "invalid_state"
    assert "completed" in answer.json()["message"]


async def test_leaving_answers_with_the_command(api: Api) -> None:
    """API-08, API-67."""
    job = await api.book.add()
    await api.book.bring_to(job, Status.RECORDING)
    answer = await api.live.post(f"/api/v1/jobs/{job.id}/leave-call")
    assert answer.status_code == 202
    result = answer.json()
    assert re.fullmatch("cmd_[0-9A-HJKMNP-TV-Z]{26}", result.pop("commandId"))
    assert result == {
        "jobId": job.id,
        "verb": "leave-call",
        "accepted": True,
        "issuedAt": "2026-05-09T14:00:00.000Z",
    }


async def test_leaving_before_the_bot_came_cancels(api: Api) -> None:
    """API-68."""
    job = await api.create()
    assert (await api.live.post(f"/api/v1/jobs/{job['id']}/leave-call")).status_code == 202
    assert (await api.live.get(f"/api/v1/jobs/{job['id']}")).json()["status"] == "cancelled"


def read_stream(text: str) -> list[tuple[str, dict[str, Any]]]:
    events = []
    for block in text.strip().split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


async def test_the_stream_tells_each_move_and_ends_with_the_last(api: Api) -> None:
    """API-16: followed live, from the first move to the terminal one."""
    job = await api.book.add()
    watching = asyncio.create_task(api.live.get(f"/api/v1/jobs/{job.id}/events"))
    fence = await api.book.bring_to(job, Status.RECORDING)
    progress = LiveProgress(at=api.book.now, recorded_seconds=2.5, bytes_journalled=100)
    async with api.book.database.begin() as session:
        await save_progress(session, job.id, progress, fence=fence, now=api.book.now)
    await api.book.report(job, Event.LEFT, fence)
    async with api.book.database.begin() as session:
        await settle(session, job.id, Settlement(ExitReason.CALL_ENDED), now=api.book.now)
    answer = await asyncio.wait_for(watching, 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = read_stream(answer.text)
    statuses = [data["status"] for kind, data in events if kind == "status"]
    assert statuses == ["joining", "in_meeting", "recording", "finalizing", "completed"]
    shown = [data for kind, data in events if kind == "progress"]
    assert shown[-1]["recordedSeconds"] == 2.5


async def test_the_stream_tells_how_verbs_ended_and_what_the_room_said(api: Api) -> None:
    """API-16, PL-20, LC-30: in the order in which it happened, the end last."""
    job = await api.live_job()
    async with api.book.database.begin() as session:
        command = await commands.issue(session, job.id, Verb.CHAT, now=api.book.now)
        await commands.settle(
            session, command.id, Outcome.REFUSED, now=api.book.now, detail="The chat is closed."
        )
    api.book.clock.advance(1)
    answer = Consent(at=api.book.now, granted=False, participant_id=None, display_name="Ada")
    otter = CompetingBot(
        at=api.book.now,
        participant_id="prt_2",
        display_name="Otter.ai",
        bot_name="Otter",
        leaving=False,
    )
    async with api.book.database.begin() as session:
        now, fence = api.book.now, job.fence
        await consent_answered(session, job.id, answer, fence=fence, now=now)
        await competing_bot_seen(session, job.id, otter, fence=fence, now=now)
    api.book.clock.advance(1)
    await api.book.report(job, Event.LEFT, job.fence)
    async with api.book.database.begin() as session:
        await commands.issue(session, job.id, Verb.LEAVE, now=api.book.now)
        await settle(session, job.id, Settlement(ExitReason.CALL_ENDED), now=api.book.now)
    events = read_stream((await api.live.get(f"/api/v1/jobs/{job.id}/events")).text)
    assert [kind for kind, _ in events] == [
        *["status"] * 3,
        "command",
        "consent",
        "competing_bot",
        "status",
        "command",
        "status",
    ]
    assert events[3][1] == {
        "jobId": job.id,
        "commandId": command.id,
        "verb": "send-chat-message",
        "outcome": "refused",
        "detail": "The chat is closed.",
        "at": "2026-05-09T14:00:00.000Z",
    }
    assert events[4][1] == {
        "jobId": job.id,
        "granted": False,
        "participantId": None,
        "displayName": "Ada",
        "at": "2026-05-09T14:00:01.000Z",
    }


@pytest.mark.parametrize("last", ["1", "1-0", "999999999", "nonsense", "-1"])
async def test_any_last_event_id_is_taken(api: Api, last: str) -> None:
    """Older ids had one number; what is none of ours means from the beginning."""
    job = await api.book.add()
    await ended(api.book, job)
    answer = await api.live.get(f"/api/v1/jobs/{job.id}/events", headers={"last-event-id": last})
    assert answer.status_code == 200
    if last in {"nonsense", "-1"}:
        assert len(read_stream(answer.text)) == 5


async def test_a_stream_goes_on_after_the_last_seen_event(api: Api) -> None:
    job = await api.book.add()
    await ended(api.book, job)
    whole = (await api.live.get(f"/api/v1/jobs/{job.id}/events")).text
    ids = re.findall(r"^id: ([\d-]+)$", whole, re.MULTILINE)
    rest = await api.live.get(f"/api/v1/jobs/{job.id}/events", headers={"last-event-id": ids[-2]})
    assert [data["status"] for _, data in read_stream(rest.text)] == ["completed"]


def test_every_status_can_be_filtered_by() -> None:
    assert set(job_routes.STATUS_FILTERS) == {s.value for s in Status} | {"in_call", "canceled"}
