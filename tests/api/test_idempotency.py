"""`Idempotency-Key` on any POST (API-63)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import func, select

from api import idempotency as middleware
from api.request_meter import RequestMeter
from core import idempotency
from core.accounts.models import ApiKey
from core.errors import IdempotencyMismatch
from core.jobs.models import Job, JobCommand
from tests.api.conftest import MEET, Api
from tests.api.credentials import log_in
from tests.support.jobs import JobBook

pytestmark = pytest.mark.integration

BODY = {"meetingUrl": MEET}
PLAYED = middleware.REPLAY_HEADER


async def dispatch(
    holder: httpx.AsyncClient, key: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    headers = {"idempotency-key": key}
    return await holder.post("/api/v1/jobs", json=body or BODY, headers=headers)


async def count(api: Api, kind: Any) -> int:
    async with api.book.database.begin() as session:
        return (await session.exec(select(func.count()).select_from(kind))).one()


async def test_the_same_request_is_answered_the_same_and_done_once(api: Api) -> None:
    first = await dispatch(api.live, "one")
    again = await dispatch(api.live, "one")
    assert (first.status_code, PLAYED in first.headers) == (201, False)
    assert (again.status_code, again.headers[PLAYED]) == (201, "true")
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await count(api, Job) == 1
    assert len(api.dispatcher.submitted) == 1


@pytest.mark.parametrize("other", [{"meetingUrl": MEET, "displayName": "Other"}, {}])
async def test_another_request_under_the_same_key_is_refused(
    api: Api, other: dict[str, str]
) -> None:
    await dispatch(api.live, "one")
    answer = await api.live.post("/api/v1/jobs", json=other, headers={"idempotency-key": "one"})
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_mismatch")
    body = {"name": "ci", "mode": "live"}
    elsewhere = await api.live.post("/api/v1/keys", json=body, headers={"idempotency-key": "one"})
    assert elsewhere.status_code == 409


async def test_answers_that_are_given_again_count_as_requests(api: Api) -> None:
    """API-85."""
    services = api.app.state.services
    few = RequestMeter(services.database, services.clock, 2)
    object.__setattr__(services, "meter", few)
    statuses = [(await dispatch(api.live, "one")).status_code for _ in range(4)]
    assert statuses == [201, 201, 201, 429]
    await few.settled()


async def test_keys_of_the_two_modes_and_of_teams_do_not_meet(api: Api) -> None:
    answers = [await dispatch(holder, "one") for holder in (api.live, api.test)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


async def test_after_a_day_a_key_is_new(api: Api) -> None:
    first = await dispatch(api.live, "one")
    api.book.clock.advance(24 * 3600)
    second = await dispatch(api.live, "one", BODY | {"displayName": "Other"})
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


async def test_of_many_at_once_one_is_carried_out(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "LOOK_SECONDS", 0.01)
    answers = await asyncio.gather(*(dispatch(api.live, "one") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum(PLAYED not in answer.headers for answer in answers) == 1
    assert await count(api, Job) == 1


async def test_whoever_waits_too_long_is_told_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "WAIT_SECONDS", 0.0)
    await dispatch(api.live, "one")
    await rewind(api)
    answer = await dispatch(api.live, "one")
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_state")
    assert "still being carried out" in answer.json()["message"]


async def test_a_process_that_died_after_its_work_makes_no_second_job(api: Api) -> None:
    """The next attempt makes the same id, and finds it."""
    first = await dispatch(api.live, "one")
    await rewind(api)
    api.book.clock.advance(181)
    second = await dispatch(api.live, "one")
    assert second.status_code == 200
    assert second.json()["id"] == first.json()["id"]
    assert await count(api, Job) == 1


async def rewind(api: Api) -> None:
    """As if the process had died before it stored its answer."""
    async with api.book.database.begin() as session:
        await session.exec(text("UPDATE idempotent_requests SET answer = NULL"))  # type: ignore[call-overload]


async def test_what_was_refused_may_be_sent_again_with_the_same_key(api: Api) -> None:
    """Nothing was done, so there is nothing to give again."""
    refused = await dispatch(api.live, "one", {"meetingUrl": "nonsense"})
    assert refused.status_code == 400
    assert (await dispatch(api.live, "one")).status_code == 201


async def test_a_verb_is_given_once(api: Api) -> None:
    job = await api.live_job()
    path, headers = f"/api/v1/jobs/{job.id}/send-chat-message", {"idempotency-key": "chat"}
    answers = [await api.live.post(path, json={"message": "Hi"}, headers=headers) for _ in range(2)]
    assert answers[0].status_code == 202
    assert answers[0].json() == answers[1].json()
    assert await count(api, JobCommand) == 1


async def test_a_new_key_is_given_again_and_never_stored_in_plain(api: Api) -> None:
    headers = {"idempotency-key": "key"}
    body = {"name": "ci", "mode": "live"}
    answers = [await api.live.post("/api/v1/keys", json=body, headers=headers) for _ in range(2)]
    key = answers[0].json()["key"]
    assert answers[1].json()["key"] == key
    before = await count(api, ApiKey)
    async with api.book.database.begin() as session:
        dump = str(
            (await session.exec(text("SELECT i::text FROM idempotent_requests i"))).all()  # type: ignore[call-overload]
        )
    assert "key" in dump
    assert key not in dump
    assert before == 3


async def test_a_login_has_keys_of_its_own_and_needs_its_proof(api: Api) -> None:
    ada = await log_in(api.book, "ada@example.com")
    headers = ada.headers | {"idempotency-key": "one"}
    body = {"name": "ci", "mode": "live"}
    first = await api.anonymous.post("/api/v1/keys", json=body, headers=headers)
    again = await api.anonymous.post("/api/v1/keys", json=body, headers=headers)
    assert again.json() == first.json()
    without = {name: value for name, value in headers.items() if name != "x-csrf-token"}
    refused = await api.anonymous.post("/api/v1/keys", json=body, headers=without)
    assert refused.status_code == 403
    nobody = {"idempotency-key": "one"}
    assert (await api.anonymous.post("/api/v1/keys", json=body, headers=nobody)).status_code == 401


@pytest.mark.parametrize("key", ["", "x" * 256, "é"])
async def test_a_key_is_short_and_printable(api: Api, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1"))]
    answer = await api.live.post("/api/v1/jobs", json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_a_body_that_is_too_large_is_refused_as_without_a_key(api: Api) -> None:
    answer = await api.live.post(
        "/api/v1/jobs",
        content=b"x" * 2_000_000,
        headers={"content-type": "application/json", "idempotency-key": "one"},
    )
    assert answer.status_code == 413


async def test_a_server_error_lets_the_same_request_be_tried_again(api: Api) -> None:
    failing = True

    @api.app.post("/api/v1/fails-once", tags=["account"])
    async def fails_once() -> dict[str, bool]:
        nonlocal failing
        if failing:
            failing = False
            raise RuntimeError("a bug")
        return {"done": True}

    headers = {"idempotency-key": "one"}
    assert (await api.live.post("/api/v1/fails-once", headers=headers)).status_code == 500
    assert (await api.live.post("/api/v1/fails-once", headers=headers)).json() == {"done": True}


async def test_old_requests_are_forgotten(api: Api) -> None:
    await dispatch(api.live, "one")
    api.book.clock.advance(24 * 3600)
    async with api.book.database.begin() as session:
        await idempotency.forget_requests(session, now=api.book.now)
    assert await count(api, idempotency.IdempotentRequest) == 0


async def test_a_claim_holds_until_its_holder_must_be_dead(api: Api) -> None:
    book: JobBook = api.book
    async with book.database.begin() as session:
        first = await idempotency.claim(session, "s", "k", "f", now=book.now)
        assert first.ours
        assert not (await idempotency.claim(session, "s", "k", "f", now=book.now)).ours
        with pytest.raises(IdempotencyMismatch):
            await idempotency.claim(session, "s", "k", "other", now=book.now)
        book.clock.advance(180)
        later = await idempotency.claim(session, "s", "k", "f", now=book.now)
        assert (later.ours, later.seed) == (True, first.seed)
