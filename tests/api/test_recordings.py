"""Recordings over HTTP: listed, read with links, transcripts (API-15, 18, 19, 73, 74)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.storage.files import create_files_app
from tests.api.conftest import Api
from tests.api.credentials import log_in
from tests.support.recordings import ADA, delivered

pytestmark = pytest.mark.integration

LIST = "/api/v1/recordings"
ADDON = {"mode": "addon", "provider": None, "language": None, "wait": True}


async def transcribed(api: Api, **changes: Any) -> Job:
    job = await delivered(api.book, api.storage, **changes)
    async with api.book.database.begin() as session:
        row = await session.get_one(Job, job.id)
        row.transcription = ADDON
    return job


async def test_only_jobs_with_a_manifest_are_listed(api: Api) -> None:
    """API-18, CV-12, CV-13."""
    await api.live_job(Status.RECORDING)
    jobs = [await delivered(api.book, api.storage) for _ in range(3)]
    await delivered(api.book, api.storage, livemode=False)
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await api.live.get(LIST, params=query)).json()
        seen += [one["id"] for one in page["data"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == sorted((job.id for job in jobs), reverse=True)
    assert len((await api.test.get(LIST)).json()["data"]) == 1
    person = await log_in(api.book, "ada@example.com")
    assert (await api.anonymous.get(LIST, headers=person.headers)).json()["data"] == []


async def test_a_recording_has_its_manifest_and_links_that_work(api: Api, tmp_path: Any) -> None:
    """API-19, API-73, MF-15: a plain GET of each link has so many bytes."""
    job = await delivered(api.book, api.storage, transcript="ready")
    answer = await api.live.get(f"{LIST}/{job.id}")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["id"] == shown["jobId"] == job.id
    assert job.hours_billed is not None
    assert shown["hours_billed"] == float(job.hours_billed) > 0
    assert shown["manifest"]["schemaVersion"] == 1
    assert shown["manifestUri"] == f"s3://local/recordings/{job.id}/manifest.json"
    names = {one["filename"] for one in shown["media"]}
    assert names == {
        "A-Ada_Lovelace.ogg",
        "A-Ada_Lovelace-2.ogg",
        "tab.webm",
        "captions.vtt",
        "transcript.json",
        "transcript.vtt",
    }
    files = create_files_app(
        api.app.state.services.settings.local_storage_root, SecretStr("a secret for links")
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(files)) as browser:
        for one in shown["media"]:
            got = await browser.get(one["url"])
            assert (got.status_code, len(got.content)) == (200, one["bytes"])
            assert one["urlExpiresAt"] == "2026-05-09T14:15:00.000Z"
    (audio,) = [one for one in shown["media"] if one["trackId"] == ADA.id]
    assert (audio["kind"], audio["participantId"]) == ("per-speaker", ADA.id)
    assert (audio["mimeType"], audio["uri"]) == (
        "audio/ogg",
        f"s3://local/recordings/{job.id}/audio.{ADA.id}.ogg",
    )


async def test_no_recording_no_answer(api: Api) -> None:
    job = await api.live_job(Status.RECORDING)
    answer = await api.live.get(f"{LIST}/{job.id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_manifest_that_names_foreign_objects_gets_no_links(api: Api) -> None:
    ours, theirs = [await delivered(api.book, api.storage) for _ in range(2)]
    key = f"recordings/{ours.id}/manifest.json"
    forged = api.storage.get_bytes(key).replace(
        f"recordings/{ours.id}/audio".encode(), f"recordings/{theirs.id}/audio".encode()
    )
    api.storage.put_bytes(key, forged, "application/json")
    answer = await api.live.get(f"{LIST}/{ours.id}")
    assert (answer.status_code, answer.json()["code"]) == (502, "storage_error")


@pytest.mark.parametrize("harm", ["missing", "damaged"])
async def test_a_manifest_that_is_not_there_is_a_fault_of_storage(api: Api, harm: str) -> None:
    job = await delivered(api.book, api.storage)
    key = f"recordings/{job.id}/manifest.json"
    if harm == "missing":
        api.storage.delete([key])
    else:
        api.storage.put_bytes(key, b'{"schemaVersion": 1}', "application/json")
    answer = await api.live.get(f"{LIST}/{job.id}")
    assert (answer.status_code, answer.json()["code"]) == (502, "storage_error")


async def test_a_transcript_in_three_forms(api: Api) -> None:
    """API-15, API-74."""
    job = await transcribed(api, transcript="ready")
    url = f"/api/v1/jobs/{job.id}/transcript"
    as_json = await api.live.get(url)
    assert as_json.status_code == 200
    found = as_json.json()
    assert set(found) == {"jobId", "status", "provider", "language", "text", "segments"}
    assert found["segments"][0]["speakerLabel"] == "A"
    as_vtt = await api.live.get(url, params={"format": "vtt"})
    assert as_vtt.headers["content-type"] == "text/vtt; charset=utf-8"
    assert as_vtt.text.startswith("WEBVTT\n\n00:00:00.500 --> 00:00:01.500\n")
    as_text = await api.live.get(url, params={"format": "txt"})
    assert as_text.text == "Ada Lovelace: Hello."
    assert (await api.live.get(url, params={"format": "pdf"})).status_code == 400


async def test_why_there_is_no_transcript(api: Api) -> None:
    async def code(job_id: str) -> tuple[int, str]:
        answer = await api.live.get(f"/api/v1/jobs/{job_id}/transcript")
        return answer.status_code, answer.json()["code"]

    assert await code((await api.live_job()).id) == (404, "transcript_not_enabled")
    off = await delivered(api.book, api.storage)
    assert await code(off.id) == (404, "transcript_not_enabled")
    pending = await transcribed(api, transcript="pending")
    assert await code(pending.id) == (409, "transcript_pending")
    failed = await transcribed(api, transcript="failed")
    assert await code(failed.id) == (404, "not_found")
    live = await api.live_job()
    async with api.book.database.begin() as session:
        (await session.get_one(Job, live.id)).transcription = ADDON
    assert await code(live.id) == (409, "transcript_pending")
