"""Media for bots to play, show and share: from a body, from a URL, and gone afterwards (API-14,
API-71, CV-16)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.output_media import MOST_BODY_BYTES, MOST_BYTES, tidy
from core.errors import StorageError
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Status
from core.jobs.media import media_key
from core.jobs.models import Job
from core.jobs.settlement import Settlement, settle
from core.jobs.verbs import Outcome, Verb
from tests.api.conftest import Api
from tests.api.test_errors import check
from tests.core.network.test_fetching import response, serving

pytestmark = pytest.mark.integration

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(20)
MP4 = b"\x00\x00\x00\x20ftypisom" + bytes(20)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def post(api: Api, job: Job, **body: Any) -> httpx.Response:
    return await api.live.post(f"/api/v1/jobs/{job.id}/output-media", json=body)


def stored(api: Api, job: Job) -> list[str]:
    return [one.key for one in api.storage.list(f"recordings/{job.id}/")]


@pytest.mark.parametrize(
    ("kind", "data", "mime_type"),
    [
        ("audio", WAV, "audio/wav"),
        ("image", PNG, "image/png"),
        ("video", MP4, "video/mp4"),
    ],
)
async def test_the_bot_is_told_where_the_media_lies(
    api: Api, kind: str, data: bytes, mime_type: str
) -> None:
    job = await api.live_job()
    answer = await post(api, job, kind=kind, data=encoded(data), loop=True)
    assert answer.status_code == 202, answer.text
    (told,) = await api.told(job)
    assert (told.id, told.verb) == (answer.json()["commandId"], Verb.OUTPUT_MEDIA)
    key = media_key(job.id, told.id)
    assert told.payload == {"kind": kind, "key": key, "mimeType": mime_type, "loop": True}
    assert key == f"recordings/{job.id}/.media/{told.id}"
    assert api.storage.get_bytes(key) == data


async def test_media_is_fetched_from_where_webhooks_may_go(api: Api, trusted_port: int) -> None:
    job = await api.live_job()
    async with serving(response(PNG), port=trusted_port) as (origin, _):
        answer = await post(api, job, kind="image", url=f"{origin}/face.png")
    assert answer.status_code == 202, answer.text
    (told,) = await api.told(job)
    assert told.payload["loop"] is False
    assert api.storage.get_bytes(told.payload["key"]) == PNG


async def test_output_is_ended(api: Api) -> None:
    job = await api.live_job()
    answer = await api.live.delete(f"/api/v1/jobs/{job.id}/output-media")
    assert (answer.status_code, answer.content) == (204, b"")
    assert [told.verb for told in await api.told(job)] == [Verb.STOP_OUTPUT_MEDIA]


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({}, ["kind"], ""),
        ({"kind": "smell", "data": "AA=="}, ["kind"], ""),
        ({"kind": "image"}, [], "exactly one"),
        ({"kind": "image", "data": "AA==", "url": "https://a.example/"}, [], "exactly one"),
        ({"kind": "image", "data": "%%%"}, ["data"], "base64"),
        ({"kind": "image", "data": "é"}, ["data"], "base64"),
        ({"kind": "image", "data": encoded(WAV)}, ["data"], "audio/wav"),
        ({"kind": "audio", "data": encoded(MP4)}, ["data"], "video/mp4"),
        ({"kind": "video", "data": encoded(b"hello")}, ["data"], "unknown type"),
        ({"kind": "image", "data": encoded(PNG), "loop": "yes"}, ["loop"], ""),
        ({"kind": "image", "url": "http://169.254.169.254/"}, ["url"], "https"),
        ({"kind": "image", "url": "https://db.internal.example/a.png"}, ["url"], "public"),
        ({"kind": "image", "url": "https://127.0.0.1/a.png"}, ["url"], "public"),
    ],
)
async def test_what_is_no_media_is_refused_and_not_kept(
    api: Api, body: dict[str, Any], path: list[str], words: str
) -> None:
    job = await api.live_job()
    answer = await post(api, job, **body)
    check(answer, 400, "invalid_input", "invalid_input")
    assert [issue["path"] for issue in answer.json()["issues"]] == [path]
    assert words in answer.json()["message"]
    assert await api.told(job) == []
    assert stored(api, job) == []


@pytest.mark.parametrize("content", [b"{", b"", b"[]", b"\xff"])
async def test_bodies_that_are_no_json_object_are_refused(api: Api, content: bytes) -> None:
    job = await api.live_job()
    answer = await api.live.post(f"/api/v1/jobs/{job.id}/output-media", content=content)
    check(answer, 400, "invalid_input", "invalid_input")


async def test_more_than_the_other_routes_take_is_taken_and_too_much_refused(api: Api) -> None:
    """API-71: 50 MiB, decoded."""
    job = await api.live_job()
    large = PNG + bytes(3 << 20)
    assert (await post(api, job, kind="image", data=encoded(large))).status_code == 202
    over = PNG + bytes(MOST_BYTES)
    check(await post(api, job, kind="image", data=encoded(over)), 413, "too_large", "too_large")
    assert len(stored(api, job)) == 1


async def test_a_body_without_end_is_refused_while_it_comes(api: Api) -> None:
    job = await api.live_job()
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        chunk = b"x" * (1 << 20)
        while sent < 2 * MOST_BODY_BYTES:
            sent += len(chunk)
            yield chunk

    answer = await api.live.post(f"/api/v1/jobs/{job.id}/output-media", content=chunks())
    check(answer, 413, "too_large", "too_large")
    assert sent <= MOST_BODY_BYTES + (2 << 20)


async def test_without_a_key_a_large_body_is_not_read(api: Api) -> None:
    """AU-04."""
    job = await api.live_job()
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(20):
            read += 1
            yield b"x" * 100_000

    answer = await api.anonymous.post(f"/api/v1/jobs/{job.id}/output-media", content=chunks())
    check(answer, 401, "unauthorized", "unauthorized")
    assert read == 0


@pytest.mark.parametrize("kind", ["image", "video"])
async def test_discord_speaks_only(api: Api, kind: str) -> None:
    job = await api.live_job(platform="discord")
    data = PNG if kind == "image" else MP4
    answer = await post(api, job, kind=kind, data=encoded(data))
    check(answer, 409, "conflict", "unsupported_on_platform")
    assert (await post(api, job, kind="audio", data=encoded(WAV))).status_code == 202


@pytest.mark.parametrize("status", [Status.QUEUED, Status.JOINING, Status.FINALIZING])
async def test_nothing_is_stored_for_a_bot_that_is_not_there(api: Api, status: Status) -> None:
    job = await api.live_job(status)
    check(await post(api, job, kind="image", data=encoded(PNG)), 409, "conflict", "invalid_state")
    answer = await api.live.delete(f"/api/v1/jobs/{job.id}/output-media")
    check(answer, 409, "conflict", "invalid_state")
    assert stored(api, job) == []


async def test_storage_that_refuses_is_said(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await api.live_job()

    def refuse(*_: Any) -> None:
        raise StorageError("The bucket is away.")

    monkeypatch.setattr(api.storage, "put_bytes", refuse)
    answer = await post(api, job, kind="image", data=encoded(PNG))
    check(answer, 502, "storage_error", "storage_error")
    assert await api.told(job) == []


async def lent(api: Api, job: Job) -> str:
    answer = await post(api, job, kind="image", data=encoded(PNG))
    command_id: str = answer.json()["commandId"]
    return command_id


async def test_media_goes_when_the_bot_has_answered(api: Api) -> None:
    job = await api.live_job()
    first, second = await lent(api, job), await lent(api, job)
    await api.settle(first, Outcome.DONE)
    await tidy(api.app.state.services)
    assert stored(api, job) == [media_key(job.id, second)]


async def test_media_goes_when_the_job_ends(api: Api) -> None:
    job = await api.live_job()
    await lent(api, job)
    async with api.book.database.begin() as session:
        ending = Settlement(ExitReason.KICKED, failure_code=FailureCode.REMOVED_FROM_MEETING)
        await settle(session, job.id, ending, now=api.book.now)
    await tidy(api.app.state.services)
    assert stored(api, job) == []


async def test_housekeeping_comes_by_itself_and_again_when_storage_was_away(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await api.live_job()
    await api.settle(await lent(api, job), Outcome.REFUSED)
    with monkeypatch.context() as away:
        away.setattr(api.storage, "delete", _away)
        await tidy(api.app.state.services)
    assert len(stored(api, job)) == 1
    async with asyncio.timeout(20):
        while stored(api, job):
            api.book.clock.advance(5)
            await asyncio.sleep(0.01)


async def test_what_was_stored_for_a_command_that_never_came_goes_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died in between: nothing stays for ever."""
    job = await api.live_job()

    async def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("died")

    with monkeypatch.context() as dying:
        dying.setattr("api.output_media.issue", die)
        answer = await post(api, job, kind="image", data=encoded(PNG))
    assert answer.status_code == 500
    await tidy(api.app.state.services)
    assert len(stored(api, job)) == 1
    api.book.clock.advance(16 * 60)
    await tidy(api.app.state.services)
    assert stored(api, job) == []


def _away(*_: Any) -> None:
    raise StorageError("The bucket is away.")


def test_a_file_of_the_largest_size_fits_its_body() -> None:
    body = {"kind": "image", "data": encoded(bytes(3 * 1000)), "loop": False}
    overhead = len(json.dumps(body)) - 4 * 1000
    assert MOST_BYTES / 3 * 4 + overhead < MOST_BODY_BYTES
