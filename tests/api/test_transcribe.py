"""Asking for a transcript of a delivered recording."""

from __future__ import annotations

import pytest

from core.jobs.models import Job
from tests.api.conftest import Api
from tests.support.billing import record

pytestmark = pytest.mark.integration


async def ask(api: Api, job: Job, **body: str) -> tuple[int, dict[str, str]]:
    answer = await api.live.post(f"/api/v1/jobs/{job.id}/transcribe", json=body)
    return answer.status_code, answer.json()


async def test_a_transcript_is_asked_for_once_at_a_time(api: Api) -> None:
    job = await record(api.book, 120)
    status, first = await ask(api, job, mode="addon", language="de")
    assert (status, first["status"], first["language"]) == (202, "pending", "de")
    assert await ask(api, job, mode="addon", language="de") == (202, first)
    shown = await api.live.get(f"/api/v1/jobs/{job.id}/transcript")
    assert (shown.status_code, shown.json()["code"]) == (409, "transcript_pending")
    status, refused = await ask(api, job, mode="addon", language="fr")
    assert (status, refused["code"]) == (409, "transcript_pending")


async def test_a_job_without_a_delivered_recording_has_nothing_to_transcribe(api: Api) -> None:
    status, refused = await ask(api, await api.live_job(), mode="addon")
    assert (status, refused["code"]) == (409, "invalid_state")


async def test_a_provider_needs_its_key(api: Api) -> None:
    job = await record(api.book, 120)
    assert (await ask(api, job, mode="byok", provider="deepgram"))[0] == 400
    assert (await ask(api, job, mode="addon", provider="deepgram"))[0] == 400
    key = {"mode": "off", "provider": "deepgram", "apiKey": "k"}
    assert (await api.live.put("/api/v1/settings/transcription", json=key)).is_success
    status, made = await ask(api, job, mode="byok")
    assert (status, made["provider"]) == (202, "deepgram")


async def test_the_add_on_needs_credit(api: Api) -> None:
    services = api.app.state.services
    billing = services.settings.billing.model_copy(update={"enabled": True})
    settings = services.settings.model_copy(update={"billing": billing})
    object.__setattr__(services, "settings", settings)
    job = await record(api.book, 100 * 3600)
    status, refused = await ask(api, job, mode="addon")
    assert (status, refused["code"]) == (402, "credit_exhausted")
