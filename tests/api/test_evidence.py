"""Evidence of screens over HTTP: named by the job, with links that work."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from core.errors import HostDenied
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.settlement import settle
from core.recordings.evidence import EvidenceFile, evidence_key
from core.storage.files import create_files_app
from flows.outcome import Outcome
from tests.api.conftest import Api
from tests.api.credentials import log_in

pytestmark = pytest.mark.integration

FILES = {"join-1-1.html": b"<script>", "join-1-1.png": b"\x89PNG"}


async def refused(api: Api, **changes: Any) -> Job:
    """A job whose bot was not let in."""
    job = await api.book.add(**changes)
    await api.book.bring_to(job, Status.JOINING)
    outcome = Outcome()
    outcome.fail(HostDenied("No."))
    for name, data in FILES.items():
        key = evidence_key(job.id, name)
        api.storage.put_bytes(key, data, "text/plain")
        file = EvidenceFile(
            name=name,
            uri=api.storage.uri(key),
            mime_type="text/plain",
            bytes=len(data),
            sha256="0" * 64,
        )
        outcome.evidence = (*outcome.evidence, file)
    async with api.book.database.begin() as session:
        return await settle(session, job.id, outcome.settlement(), now=api.book.now)


async def test_a_job_names_its_evidence_and_has_links_to_it(api: Api, tmp_path: Any) -> None:
    job = await refused(api)
    shown = (await api.live.get(f"/api/v1/jobs/{job.id}")).json()
    listed = (await api.live.get("/api/v1/jobs")).json()["data"]
    assert [one["evidence"] for one in listed] == [shown["evidence"]]
    answer = await api.live.get(f"/api/v1/jobs/{job.id}/evidence")
    assert answer.status_code == 200, answer.text
    linked = answer.json()["data"]
    assert [one["name"] for one in linked] == list(FILES)
    assert shown["evidence"] == [
        {name: one[name] for name in ("name", "mimeType", "bytes", "uri")} for one in linked
    ]
    app = create_files_app(
        api.app.state.services.settings.local_storage_root, SecretStr("a secret for links")
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as browser:
        for one in linked:
            got = await browser.get(one["url"])
            assert (got.status_code, got.content) == (200, FILES[one["name"]])
            assert "html" not in got.headers["content-type"], "nobody runs a meeting's page"
            assert one["urlExpiresAt"] == "2026-05-09T14:15:00.000Z"


async def test_people_see_it_too_and_strangers_do_not(api: Api) -> None:
    person = await log_in(api.book, "ada@example.com")
    job = await refused(api, team_id=person.team_id)
    where = f"/api/v1/jobs/{job.id}/evidence"
    answer = await api.anonymous.get(where, headers=person.headers)
    assert [one["name"] for one in answer.json()["data"]] == list(FILES)
    assert (await api.live.get(where)).status_code == 404
    assert (await api.anonymous.get(where)).status_code == 401


async def test_nothing_went_wrong_nothing_is_shown(api: Api) -> None:
    job = await api.live_job(Status.RECORDING)
    assert (await api.live.get(f"/api/v1/jobs/{job.id}")).json()["evidence"] == []
    answer = await api.live.get(f"/api/v1/jobs/{job.id}/evidence")
    assert (answer.status_code, answer.json()) == (200, {"data": []})


async def test_it_goes_with_the_job(api: Api) -> None:
    """MF-22."""
    job = await refused(api)
    assert (await api.live.delete(f"/api/v1/recordings/{job.id}")).status_code == 204
    assert list(api.storage.list(f"recordings/{job.id}/")) == []
    assert (await api.live.get(f"/api/v1/jobs/{job.id}")).json()["evidence"] == []
    answer = await api.live.get(f"/api/v1/jobs/{job.id}/evidence")
    assert answer.json() == {"data": []}
