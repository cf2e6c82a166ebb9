"""Transcripts at once or later, by whom the team wants, in its own bucket (AR-10, D15, D18)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from core.jobs.lifecycle import Status
from core.jobs.spec import TranscriptionOptions
from core.recordings.manifest import MANIFEST_NAME
from core.storage.base import Storage
from core.transcripts import requests
from core.transcripts.models import ProviderKey, RequestStatus
from flows import transcripts
from tests.flows.transcribing import ADDON, BYOK, Runs, Team

pytestmark = [pytest.mark.integration, pytest.mark.media]


async def test_everything_goes_to_the_teams_bucket_and_nothing_to_the_operators(
    team: Team, tmp_path: Path
) -> None:
    """MF-20, PL-19, BL-16: and the provider's transcript is no charge of ours."""
    job = await team.recorded(BYOK)
    assert job.status is Status.COMPLETED
    assert job.manifest_uri is not None
    assert "/acme/recordings/" in job.manifest_uri
    names = {one.key.rpartition("/")[2] for one in team.bucket.list(f"recordings/{job.id}/")}
    assert {"manifest.json", "transcript.json", "transcript.vtt"} <= names
    assert list(team.resources.storage.list("")) == []
    manifest = await team.manifest(job)
    (made,) = manifest.transcripts
    assert (manifest.transcript, made.mode, made.provider) == ("ready", "byok", "deepgram")
    assert len(team.provider.asked) == 2, "one request per speaker"
    assert await team.charged(job) == []


async def test_a_failed_transcript_fails_no_job(team: Team) -> None:
    """AR-10."""
    team.provider.faults = [402] * 9
    job = await team.recorded(BYOK)
    assert job.status is Status.COMPLETED
    assert (await team.manifest(job)).transcript == "failed"
    assert await team.charged(job) == []


async def test_a_manifest_that_does_not_wait_says_pending_until_the_transcript_is_there(
    team: Team,
) -> None:
    """D18: `wait: false`."""
    job = await team.recorded(ADDON.model_copy(update={"wait": False}))
    assert job.status is Status.COMPLETED
    assert (await team.manifest(job)).transcript == "pending"
    assert await team.charged(job) == []
    row = await team.pending(job)
    assert await transcripts.attempt(team.resources, row.id)
    manifest = await team.manifest(job)
    assert (manifest.transcript, manifest.revision) == ("ready", 2)
    assert manifest.artifacts.transcript is not None
    assert await team.charged(job) == [2]
    assert (await team.request(row.id)).status is RequestStatus.COMPLETED
    assert not await transcripts.attempt(team.resources, row.id), "once is enough"


async def test_a_recording_is_transcribed_again_with_another_provider(team: Team) -> None:
    job = await team.recorded(ADDON)
    assert await transcripts.attempt(team.resources, await team.ask(job, BYOK))
    assert await transcripts.attempt(team.resources, await team.ask(job, ADDON))
    manifest = await team.manifest(job)
    made = [(one.revision, one.mode, one.provider) for one in manifest.transcripts]
    assert made == [(1, "addon", "whisper"), (2, "byok", "deepgram"), (3, "addon", "whisper")]
    assert await team.charged(job) == [1, 3]
    document = team.bucket.get_bytes(f"recordings/{job.id}/transcript.json")
    assert b"Ours." in document


async def test_a_refused_key_ends_the_wait_and_leaves_what_there_was(team: Team) -> None:
    waiting = await team.recorded(BYOK.model_copy(update={"wait": False}))
    ready = await team.recorded(ADDON)
    async with team.book.database.begin() as session:
        row = await session.get_one(ProviderKey, (team.book.team_id, "deepgram"))
        row.api_key = team.book.box.seal(SecretStr("revoked"))
    for job, request_id in (
        (waiting, (await team.pending(waiting)).id),
        (ready, await team.ask(ready, BYOK)),
    ):
        assert not await transcripts.attempt(team.resources, request_id)
        found = await team.request(request_id)
        assert found.status is RequestStatus.FAILED
        assert "refused the API key" in found.detail
        assert (await team.book.read(job)).status is Status.COMPLETED
    failed = await team.manifest(waiting)
    assert (failed.transcript, failed.revision) == ("failed", 2)
    assert "refused the API key" in (failed.transcript_failure or "")
    assert (await team.manifest(ready)).transcript == "ready"


async def test_a_provider_that_is_away_is_asked_again_later(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transcription.engines.provider.FIRST_PAUSE", 0.01)
    job = await team.recorded(BYOK.model_copy(update={"wait": False}))
    request_id = (await team.pending(job)).id
    team.provider.faults = [503] * 4
    assert await team.due() == [request_id]
    assert not await transcripts.attempt(team.resources, request_id)
    assert await team.due() == []
    assert (await team.manifest(job)).transcript == "pending"
    team.book.clock.advance(31)
    assert await team.due() == [request_id]
    assert await transcripts.attempt(team.resources, request_id)
    assert (await team.manifest(job)).transcripts[-1].provider == "deepgram"


async def test_few_are_made_at_once_and_each_gets_one_run(team: Team) -> None:
    jobs = [await team.recorded(TranscriptionOptions()) for _ in range(3)]
    ids = [await team.ask(job, ADDON) for job in jobs]
    runs = Runs()
    assert await transcripts.hand_out(team.resources, cast("Any", runs)) == 2
    assert runs.started[0][:2] == ("transcribe/transcribe", {"request_id": ids[0]})
    async with team.book.database.begin() as session:
        await requests.take(session, ids[0], now=team.book.now)
    assert await team.due(at_once=2) == [ids[1]]
    assert await team.due(at_once=1) == []


async def test_a_deleted_recording_has_no_transcript(team: Team) -> None:
    job = await team.recorded(TranscriptionOptions())
    request_id = await team.ask(job, ADDON)
    storage: Storage = team.bucket
    storage.delete([f"recordings/{job.id}/{MANIFEST_NAME}"])
    assert not await transcripts.attempt(team.resources, request_id)
    assert "not in storage any more" in (await team.request(request_id)).detail
