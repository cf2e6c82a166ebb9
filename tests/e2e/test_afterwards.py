"""What is done with a recording after its meeting, by runs of the worker (D18, API-86, MF-22)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from core.clock import SystemClock
from core.ids import new_id
from core.jobs.failures import ExitReason
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.spec import AutoLeavePolicy, RecordingOptions, TranscriptionOptions
from core.recordings.journal import JOURNAL_NAME
from core.recordings.manifest import Manifest
from flows import delivery
from flows.outcome import Outcome
from tests.bot.recording.writing import JOB, write_attempt
from tests.e2e.operator import FINAL, Operator
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.media, pytest.mark.timeout(240)]

SECONDS: Final = 3
# A machine that runs tests is busy; none of this measures speed.
PATIENCE_SECONDS: Final = 100
POLL_SECONDS: Final = 0.1
# What the UI's button for another run now leaves to the worker.
NOW: Final = {"state": {"type": "SCHEDULED"}}

Json = dict[str, Any]


@dataclass
class Afterwards:
    """A recording that was delivered, without a bot that made it, and the runs about it."""

    product: RunningStack
    job_id: str

    async def start(self, deployment: str) -> None:
        """What the schedule would start within its minute, now."""
        found = await self.product.prefect.get(f"/deployments/name/{deployment}")
        found.raise_for_status()
        path = f"/deployments/{found.json()['id']}/create_flow_run"
        (await self.product.prefect.post(path, json=NOW)).raise_for_status()

    async def runs(self, flow: str, part: str = "") -> list[Json]:
        """Flow runs of a flow whose names contain `part`."""
        wanted = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"name": {"like_": part}}}
        answer = await self.product.prefect.post("/flow_runs/filter", json=wanted)
        answer.raise_for_status()
        found: list[Json] = answer.json()
        return found

    async def eventually(self, path: str, key: str, wanted: object) -> Json:
        """The API's answer once `key` of it is as wanted."""
        clock = SystemClock()
        deadline = clock.monotonic() + PATIENCE_SECONDS
        while True:
            answer = await self.product.api.get(path)
            told: Json = answer.json()
            if answer.is_success and told.get(key) == wanted:
                return told
            assert clock.monotonic() < deadline, answer.text
            await asyncio.sleep(POLL_SECONDS)


@pytest.fixture
async def afterwards(product: RunningStack, tmp_path: Path) -> Afterwards:
    job_id, now = new_id("job"), SystemClock().now()
    await asyncio.to_thread(write_attempt, tmp_path, seconds=SECONDS)
    journal = tmp_path / "1" / JOURNAL_NAME
    journal.write_text(journal.read_text().replace(JOB, job_id))
    recording = await delivery.finalize(tmp_path, job_id)
    await delivery.upload(recording, product.bucket)
    job = Job(
        id=job_id,
        external_id=job_id,
        team_id=product.team.id,
        livemode=False,
        platform="meet",
        driver="sandbox",
        meeting_url="https://meet.google.com/abc-defg-hij",
        display_name="Notes",
        auto_leave=AutoLeavePolicy().model_dump(mode="json"),
        recording=RecordingOptions().model_dump(mode="json"),
        transcription=TranscriptionOptions().model_dump(mode="json"),
        webhooks=None,
        labels={},
        region=product.settings.region,
        status=Status.COMPLETED,
        exit_reason=ExitReason.CALL_ENDED,
        created_at=now,
        updated_at=now,
    )
    outcome = Outcome()
    outcome.conclude(recording)
    job.manifest_uri = await delivery.hand_over(job, outcome, None, None, product.bucket)
    async with product.database.begin() as session:
        session.add(job)
    return Afterwards(product, job_id)


async def test_a_recording_is_transcribed_and_then_erased_by_runs_of_their_own(
    product: RunningStack, afterwards: Afterwards
) -> None:
    job_id, operator = afterwards.job_id, Operator(product)
    path = f"/api/v1/jobs/{job_id}/transcribe"
    asked = await product.api.post(path, json={"mode": "addon"})
    assert asked.status_code == 202, asked.text
    await afterwards.start("reconcile/reconcile")
    told = await afterwards.eventually(f"/api/v1/jobs/{job_id}/transcript", "jobId", job_id)
    assert told["provider"] == "whisper"
    manifest = Manifest.model_validate(await operator.manifest(job_id))
    assert (manifest.transcript, manifest.revision) == ("ready", 2)
    assert manifest.transcripts[-1].request_id == asked.json()["id"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (runs := await afterwards.runs("transcribe", asked.json()["id"])) or any(
            run["state_type"] not in FINAL for run in runs
        ):
            await asyncio.sleep(POLL_SECONDS)
    assert [run["state_type"] for run in runs] == ["COMPLETED"]

    # A run as its meeting would have had.
    meeting = (await product.prefect.get("/flows/name/meeting")).json()
    run = {"flow_id": meeting["id"], "name": job_id, "state": {"type": "COMPLETED"}}
    (await product.prefect.post("/flow_runs/", json=run)).raise_for_status()
    assert len(await afterwards.runs("meeting", job_id)) == 1
    assert (await product.api.delete(f"/api/v1/recordings/{job_id}")).status_code == 204
    await afterwards.start("erase/erase")
    receipt = await afterwards.eventually(
        f"/api/v1/recordings/{job_id}/deletion", "status", "completed"
    )
    assert await operator.objects(job_id) == []
    assert await afterwards.runs("transcribe", asked.json()["id"]) == []
    assert await afterwards.runs("meeting", job_id) == []
    assert "Person" not in json.dumps(receipt)
