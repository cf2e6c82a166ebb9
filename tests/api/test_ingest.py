"""Bots over HTTP: who they are, what they say, once (API-22, API-76, AU-16, D10)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from core.jobs import commands, ingest
from core.jobs.bot_tokens import mint_bot_token
from core.jobs.live_models import IngestedMessage
from core.jobs.models import Job, JobCommand
from core.jobs.verbs import Outcome, Verb
from core.webhooks.models import Delivery
from tests.api.conftest import Api
from tests.api.test_errors import check

pytestmark = pytest.mark.integration

AT = "2026-05-09T14:00:00.000Z"


@dataclass
class Bot:
    """Attempt `fence` at a job, as the API sees it."""

    api: Api
    job: Job
    fence: int

    def token(self, job_id: str | None = None) -> str:
        keys = self.api.app.state.services.settings.encryption_keys
        return mint_bot_token(keys, job_id or self.job.id, self.fence).get_secret_value()

    async def say(
        self, type_: str, payload: Any = None, *, seq: int = 1, token: str = "", **more: Any
    ) -> httpx.Response:
        body = {"jobId": self.job.id, "seq": seq, "at": AT, "type": type_}
        if payload is not None:
            body["payload"] = payload
        return await self.api.anonymous.post(
            "/api/v1/ingest",
            content=json.dumps(body | more),
            headers={
                "authorization": f"Bearer {token or self.token()}",
                "content-type": "application/json",
            },
        )

    async def status(self) -> str:
        return (await self.api.book.read(self.job)).status.value

    async def tell(self, verb: Verb = Verb.CHAT, payload: Any = None) -> str:
        async with self.api.book.database.begin() as session:
            command = await commands.issue(
                session, self.job.id, verb, now=self.api.book.now, payload=payload
            )
            return command.id


@pytest.fixture
async def bot(api: Api) -> Bot:
    job = await api.book.add()
    return Bot(api, job, await api.book.take(job))


async def webhooks(bot: Bot) -> list[str]:
    async with bot.api.book.database.begin() as session:
        statement = (
            select(Delivery).where(Delivery.job_id == bot.job.id).order_by(col(Delivery.seq))
        )
        return [one.event.value for one in (await session.exec(statement)).all()]


async def test_the_same_message_twice_changes_the_state_once(bot: Bot) -> None:
    """API-22."""
    for repeated in (False, True):
        answer = await bot.say("status", {"event": "bot_started"})
        assert answer.status_code == 202, answer.text
        assert answer.json() == {
            "accepted": True,
            "repeated": repeated,
            "begun": None,
            "commands": [],
        }
    assert await bot.status() == "joining"
    assert await webhooks(bot) == ["job.status_changed"]


async def test_an_illegal_move_is_refused_and_may_be_said_again(bot: Bot) -> None:
    """API-76, LC-02: queued → recording."""
    for _ in range(2):
        answer = await bot.say("status", {"event": "media_captured"})
        check(answer, 409, "conflict", "invalid_state")
    assert await bot.status() == "queued"


async def test_each_type_does_what_it_says(bot: Bot) -> None:
    """API-76, PL-20, LC-30."""
    said: list[tuple[str, Any]] = [
        ("status", {"event": "bot_started"}),
        ("status", {"event": "admitted"}),
        ("status", {"event": "media_captured", "recordingState": "recording"}),
        ("heartbeat", None),
        (
            "roster",
            {
                "recordedSeconds": 2.5,
                "bytesJournalled": 100,
                "participants": [
                    {
                        "participantId": "prt_1",
                        "displayName": "Ada",
                        "level": None,
                        "recordedSeconds": 2,
                    }
                ],
            },
        ),
        ("chat", {"text": "hello"}),
        ("caption", {"text": "hello"}),
        ("consent", {"granted": True, "participantId": "prt_1", "displayName": "Ada"}),
        (
            "competing_bot",
            {
                "participantId": "prt_2",
                "displayName": "Otter.ai",
                "botName": "Otter",
                "leaving": False,
            },
        ),
        ("artifact", {"name": "tab.webm"}),
        ("status", {"event": "left"}),
        (
            "exit",
            {
                "exitReason": "call_ended",
                "recordedSeconds": 61.4,
                "manifestUri": "s3://b/recordings/x/manifest.json",
            },
        ),
    ]
    for seq, (type_, payload) in enumerate(said):
        answer = await bot.say(type_, payload, seq=seq)
        assert answer.status_code == 202, (type_, answer.text)
    job = await bot.api.book.read(bot.job)
    assert (job.status.value, job.duration_seconds) == ("completed", 61)
    assert job.progress is not None
    assert job.progress["participants"][0]["displayName"] == "Ada"
    events = await webhooks(bot)
    assert [event for event in events if event != "job.status_changed"] == [
        "bot.recording_permission_response",
        "bot.competing_bot_detected",
        "job.finalized",
    ]
    repeated = await bot.say(*said[-1], seq=len(said) - 1)
    assert (repeated.status_code, repeated.json()["repeated"]) == (202, True)
    check(await bot.say("heartbeat", seq=99), 401, "unauthorized", "unauthorized")


async def test_whoever_speaks_is_alive(bot: Bot) -> None:
    """D10: the lease."""
    bot.api.book.clock.advance(9)
    await bot.say("heartbeat")
    until = (await bot.api.book.read(bot.job)).lease_until
    assert until is not None
    assert (until - bot.api.book.now).total_seconds() == 10


async def test_a_newer_attempt_outdates_the_token(bot: Bot) -> None:
    """D10: 409, so that the bot leaves without a trace."""
    await bot.api.book.take(bot.job)
    for type_ in ("heartbeat", "status", "roster", "exit"):
        answer = await bot.say(type_, {"event": "bot_started"})
        check(answer, 409, "conflict", "stale_attempt")
    assert await bot.status() == "queued"


async def test_a_token_is_good_for_its_own_job_only(bot: Bot) -> None:
    """AU-07, AU-16."""
    other = await bot.api.book.add()
    key = bot.api.live.headers["authorization"].removeprefix("Bearer ")
    for token in (bot.token(other.id), key, "mb_bot_x", "x"):
        answer = await bot.say("heartbeat", token=token)
        check(answer, 401, "unauthorized", "unauthorized")
    own = {"authorization": f"Bearer {bot.token()}"}
    answer = await bot.api.anonymous.get(f"/api/v1/jobs/{bot.job.id}", headers=own)
    check(answer, 401, "unauthorized", "unauthorized")


async def test_a_job_that_is_not_there(bot: Bot) -> None:
    job_id = "job_01HXY1AB7M2QNTWA9YQRH5JEP6"
    answer = await bot.say("heartbeat", token=bot.token(job_id), jobId=job_id)
    check(answer, 404, "not_found", "not_found")


async def test_commands_are_told_begun_once_and_settled(bot: Bot) -> None:
    """D3: an answer that was lost is given again."""
    command = await bot.tell(payload={"message": "hello"})
    told = (await bot.say("heartbeat")).json()["commands"]
    assert told == [
        {
            "id": command,
            "verb": "send-chat-message",
            "payload": {"message": "hello"},
            "issuedAt": AT,
        }
    ]
    begin = {"commandId": command}
    for _ in range(2):
        assert (await bot.say("begin", begin, seq=5)).json()["begun"] is True
    settle = {"commandId": command, "outcome": "done", "detail": "sent", "result": {"a": "🎉"}}
    assert (await bot.say("settle", settle, seq=6)).json()["commands"] == []
    async with bot.api.book.database.begin() as session:
        row = await session.get_one(JobCommand, command)
    assert (row.outcome, row.detail, row.result) == (Outcome.DONE, "sent", {"a": "🎉"})
    assert (await bot.say("begin", begin, seq=7)).json()["begun"] is False


async def test_another_jobs_command_does_not_exist(bot: Bot) -> None:
    """AU-16."""
    other = await bot.api.book.add()
    stranger = Bot(bot.api, other, await bot.api.book.take(other))
    command = await stranger.tell()
    for type_, more in (("begin", {}), ("settle", {"outcome": "done"})):
        answer = await bot.say(type_, {"commandId": command} | more)
        check(answer, 404, "not_found", "not_found")


async def test_a_poll_waits_for_what_the_bot_does_not_know(bot: Bot) -> None:
    known = await bot.tell(Verb.PAUSE)
    poll = asyncio.create_task(bot.say("heartbeat", waitSeconds=20, knownCommands=[known]))
    fresh = await bot.tell(Verb.RESUME)
    answer = await asyncio.wait_for(poll, 10)
    assert [one["id"] for one in answer.json()["commands"]] == [known, fresh]


async def test_a_waiting_bot_learns_that_it_is_outdated(bot: Bot) -> None:
    poll = asyncio.create_task(bot.say("heartbeat", waitSeconds=20))
    await bot.api.book.take(bot.job)
    await bot.tell()
    check(await asyncio.wait_for(poll, 10), 409, "conflict", "stale_attempt")


@pytest.mark.parametrize(
    ("type_", "payload", "more", "path"),
    [
        ("gossip", {}, {}, ["type"]),
        ("status", {}, {}, ["payload", "event"]),
        ("status", {"event": "exploded"}, {}, ["payload", "event"]),
        ("status", {"event": "admitted"}, {"seq": -1}, ["seq"]),
        ("status", {"event": "admitted"}, {"at": "now"}, ["at"]),
        ("status", [], {}, ["payload"]),
        ("heartbeat", {}, {"waitSeconds": 26}, ["waitSeconds"]),
        ("heartbeat", {}, {"jobId": "job_1"}, ["jobId"]),
        (
            "roster",
            {"recordedSeconds": "x", "bytesJournalled": 1},
            {},
            ["payload", "recordedSeconds"],
        ),
        ("consent", {"participantId": None, "displayName": "A"}, {}, ["payload", "granted"]),
        ("begin", {"commandId": "cmd_\x00"}, {}, ["payload", "commandId"]),
        ("exit", {"exitReason": "bored"}, {}, ["payload", "exitReason"]),
        (
            "exit",
            {"exitReason": "error", "manifestUri": "http://x"},
            {},
            ["payload", "manifestUri"],
        ),
    ],
)
async def test_bad_messages_are_named(
    bot: Bot, type_: str, payload: Any, more: dict[str, Any], path: list[str]
) -> None:
    answer = await bot.say(type_, payload, **more)
    check(answer, 400, "invalid_input", "invalid_input")
    assert [issue["path"] for issue in answer.json()["issues"]] == [path]


@pytest.mark.parametrize(
    "result", [{"a": "\x00"}, {"a": "\ud800"}, {"a": "x" * 20_000}], ids=["nul", "half", "long"]
)
async def test_results_that_no_table_takes_are_refused(bot: Bot, result: dict[str, Any]) -> None:
    settle = {"commandId": await bot.tell(), "outcome": "done", "result": result}
    check(await bot.say("settle", settle), 400, "invalid_input", "invalid_input")


async def test_a_job_cannot_be_ended_by_a_move(bot: Bot) -> None:
    await bot.say("status", {"event": "bot_started"})
    check(await bot.say("status", {"event": "failed"}, seq=2), 409, "conflict", "invalid_state")


async def test_an_overtaken_snapshot_changes_nothing(bot: Bot) -> None:
    for seq, (at, seconds) in enumerate([("2026-05-09T14:00:02Z", 2), ("2026-05-09T14:00:01Z", 1)]):
        snapshot = {"recordedSeconds": seconds, "bytesJournalled": 1, "participants": []}
        assert (await bot.say("roster", snapshot, seq=seq, at=at)).status_code == 202
    progress = (await bot.api.book.read(bot.job)).progress
    assert progress is not None
    assert progress["recordedSeconds"] == 2


async def test_numbers_are_forgotten_after_a_day_and_heartbeats_leave_none(bot: Bot) -> None:
    await bot.say("heartbeat", seq=1)
    await bot.say("status", {"event": "bot_started"}, seq=2)

    async def kept() -> list[int]:
        async with bot.api.book.database.begin() as session:
            return list((await session.exec(select(IngestedMessage.seq))).all())

    assert await kept() == [2]
    bot.api.book.clock.advance(24 * 3600 + 1)
    async with bot.api.book.database.begin() as session:
        await ingest.forget(session, now=bot.api.book.now)
    assert await kept() == []
