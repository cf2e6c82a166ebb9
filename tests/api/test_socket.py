"""Realtime control over a WebSocket: verbs in, events out (API-17)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import jsonschema
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.routes.socket import MOST_VERBS
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Event, Status
from core.jobs.models import Job
from core.jobs.notices import Consent, consent_answered
from core.jobs.settlement import Settlement, settle
from core.jobs.verbs import Outcome, Verb
from tests.api.conftest import Api
from tests.api.test_errors import SCHEMA
from tests.api.test_output_media import PNG
from tests.support.api_server import running_api

pytestmark = pytest.mark.integration

SECONDS = 20


class Talk:
    """A customer's side of the socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def next(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.socket.recv(), SECONDS)
        content: dict[str, Any] = json.loads(text)
        return content

    async def event(self, name: str) -> dict[str, Any]:
        """The data of the next event of this name; what comes before it is passed over."""
        while True:
            content = await self.next()
            if content.get("event") == name:
                data: dict[str, Any] = content["data"]
                return data

    async def ask(self, verb: str, **more: Any) -> dict[str, Any]:
        """The answer to a verb, past the events that come before it."""
        await self.socket.send(json.dumps({"verb": verb, "requestId": verb, **more}))
        while "event" in (content := await self.next()):
            continue
        assert content.pop("requestId") == verb
        return content

    async def closed(self) -> int:
        """The code with which the other side ends the talk."""
        async with asyncio.timeout(SECONDS):
            with suppress(ConnectionClosed):
                async for _ in self.socket:
                    continue
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code


@pytest.fixture
async def origin(api: Api) -> AsyncIterator[str]:
    async with running_api(api.app) as served:
        yield served.replace("http", "ws")


@asynccontextmanager
async def talking(
    origin: str, job_id: str, key: str | None, *, by_query: bool = False, after: str = ""
) -> AsyncIterator[Talk]:
    query = [f"token={key}"] if by_query else []
    query += [f"lastEventId={after}"] if after else []
    headers = {"authorization": f"Bearer {key}"} if key and not by_query else {}
    url = f"{origin}/api/v1/jobs/{job_id}/ws?{'&'.join(query)}"
    async with connect(url, additional_headers=headers, max_size=None, proxy=None) as socket:
        yield Talk(socket)


def key_of(api: Api, *, live: bool = True) -> str:
    client = api.live if live else api.test
    return client.headers["authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize("by_query", [False, True], ids=["header", "query"])
async def test_a_verb_has_the_effect_of_its_route(api: Api, origin: str, by_query: bool) -> None:
    job = await api.live_job()
    async with talking(origin, job.id, key_of(api), by_query=by_query) as talk:
        answer = await talk.ask("pause-recording")
        (told,) = await api.told(job)
        assert (told.id, told.verb) == (answer["commandId"], Verb.PAUSE)
        assert answer == {
            "jobId": job.id,
            "verb": "pause-recording",
            "accepted": True,
            "commandId": told.id,
            "issuedAt": "2026-05-09T14:00:00.000Z",
        }
        await api.book.report(job, Event.RECORDING_PAUSED, job.fence)
        moves = [await talk.event("status")]
        while moves[-1]["recordingState"] != "paused":
            moves.append(await talk.event("status"))
        assert moves[-1]["status"] == "recording"


async def test_every_verb_goes_through(api: Api, origin: str) -> None:
    job = await api.live_job()
    asked: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("send-chat-message", {"message": " hi "}, {"message": "hi"}),
        ("request-recording-permission", {"message": "May I?"}, {"message": "May I?"}),
        ("pin-participant", {"participantId": "p"}, {"participantId": "p", "displayName": None}),
        ("stop-output-media", {}, {}),
        ("stop-recording", {}, {}),
        ("start-recording", {}, {}),
        ("pause-recording", {}, {}),
        ("resume-recording", {}, {}),
        ("leave-call", {}, {}),
    ]
    async with talking(origin, job.id, key_of(api)) as talk:
        for verb, fields, _ in asked:
            assert (await talk.ask(verb, **fields)).get("accepted"), verb
        media = {"kind": "image", "data": base64.b64encode(PNG).decode()}
        assert (await talk.ask("output-media", **media))["accepted"]
        told = await api.told(job)
        assert [(one.verb.value, one.payload) for one in told[:-1]] == [
            (verb, payload) for verb, _, payload in asked
        ]
        assert api.storage.get_bytes(told[-1].payload["key"]) == PNG


async def test_a_screenshot_does_not_hold_up_other_verbs(api: Api, origin: str) -> None:
    job = await api.live_job()
    async with talking(origin, job.id, key_of(api)) as talk:
        await talk.socket.send(json.dumps({"verb": "screenshot", "requestId": 7}))
        assert (await talk.ask("pause-recording"))["accepted"]
        async with asyncio.timeout(SECONDS):
            while len(told := await api.told(job)) < 2:
                await asyncio.sleep(0.01)
        (shot,) = [one for one in told if one.verb is Verb.SCREENSHOT]
        result = {"width": 2, "height": 1, "takenAt": "2026-05-09T14:00:00Z"}
        await api.settle(shot.id, Outcome.DONE, result=result)
        while "uri" not in (answer := await talk.next()):
            continue
        assert (answer["requestId"], answer["width"], answer["mimeType"]) == (7, 2, "image/png")


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        ("{", "invalid_input", []),
        ("[]", "invalid_input", []),
        ("{}", "invalid_input", ["verb"]),
        ('{"verb": "dance"}', "invalid_input", ["verb"]),
        ('{"verb": "cancel"}', "invalid_input", ["verb"]),
        ('{"verb": ["leave-call"]}', "invalid_input", ["verb"]),
        ('{"verb": "send-chat-message"}', "invalid_input", ["message"]),
        ('{"verb": "output-media", "kind": "image"}', "invalid_input", []),
        ('{"verb": "resume-recording"}', "invalid_state", None),
    ],
)
async def test_what_cannot_be_done_is_answered_with_the_envelope(
    api: Api, origin: str, text: str, code: str, path: list[str] | None
) -> None:
    """CV-09: and the talk goes on."""
    job = await api.live_job()
    async with talking(origin, job.id, key_of(api)) as talk:
        await talk.socket.send(text)
        while "event" in (answer := await talk.next()):
            continue
        jsonschema.validate(answer, SCHEMA)
        assert answer["code"] == code
        if path is not None:
            assert [issue["path"] for issue in answer["issues"]] == [path]
        assert (await talk.ask("pause-recording"))["accepted"]


async def test_who_has_no_key_and_who_has_no_such_job(api: Api, origin: str) -> None:
    """API-17: close codes; CV-11, CV-12."""
    job = await api.live_job()
    for key in (None, "mb_live_000000000000000000000000"):
        async with talking(origin, job.id, key) as talk:
            assert await talk.closed() == 4401
    for job_id, live in ((job.id, False), ("nonsense", True)):
        async with talking(origin, job_id, key_of(api, live=live)) as talk:
            assert await talk.closed() == 4404


async def test_too_many_verbs_are_answered_and_not_done(api: Api, origin: str) -> None:
    job = await api.live_job()
    async with talking(origin, job.id, key_of(api)) as talk:
        for _ in range(MOST_VERBS):
            assert "commandId" in await talk.ask("send-chat-message", message="hi")
        refused = await talk.ask("send-chat-message", message="hi")
        assert refused["code"] == "rate_limited"
        assert len(await api.told(job)) == MOST_VERBS
        api.book.clock.advance(11)
        assert "commandId" in await talk.ask("send-chat-message", message="hi")


async def test_a_message_that_is_too_large_ends_the_talk(api: Api, origin: str) -> None:
    job = await api.live_job()
    async with talking(origin, job.id, key_of(api)) as talk:
        await talk.socket.send("x" * ((1 << 20) + 1))
        assert await talk.closed() == 1009


async def end(api: Api, job: Job) -> None:
    await api.book.report(job, Event.LEFT, job.fence)
    async with api.book.database.begin() as session:
        await settle(session, job.id, Settlement(ExitReason.CALL_ENDED), now=api.book.now)


async def test_events_come_as_on_the_stream_and_the_talk_ends_with_the_job(
    api: Api, origin: str
) -> None:
    """API-16, PL-20: and can be taken up after the last one seen."""
    job = await api.live_job()
    async with talking(origin, job.id, key_of(api)) as talk:
        command = (await talk.ask("send-chat-message", message="hi"))["commandId"]
        await api.settle(command, Outcome.DONE, detail="sent")
        assert await talk.event("command") == {
            "jobId": job.id,
            "commandId": command,
            "verb": "send-chat-message",
            "outcome": "done",
            "detail": "sent",
            "at": "2026-05-09T14:00:00.000Z",
        }
        answer = Consent(at=api.book.now, granted=True, participant_id="p", display_name="Ada")
        async with api.book.database.begin() as session:
            await consent_answered(session, job.id, answer, fence=job.fence, now=api.book.now)
        while (content := await talk.next()).get("event") != "consent":
            continue
        assert content["data"]["granted"] is True
        seen = content["id"]
        await end(api, job)
        assert (await talk.event("status"))["status"] == "finalizing"
        assert (await talk.event("status"))["status"] == Status.COMPLETED
        assert await talk.closed() == 1000
    async with talking(origin, job.id, key_of(api), after=seen) as talk:
        assert (await talk.event("status"))["status"] == "finalizing"
    async with talking(origin, job.id, key_of(api)) as talk:
        whole = [(await talk.next())["event"] for _ in range(7)]
    assert sorted(whole) == sorted(["status"] * 5 + ["command", "consent"])
    assert whole[-1] == "status"
