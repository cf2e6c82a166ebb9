"""Deleting a recording: nothing is left but the usage and a receipt (API-20, MF-22)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from core.accounts.models import Team
from core.accounts.service import webhook_secrets
from core.billing.models import UsageEvent
from core.dispatch import workers
from core.dispatch.base import RunData
from core.erasure.eraser import Eraser
from core.erasure.models import Erasure
from core.erasure.service import machine_looked, request_erasure
from core.errors import StorageError, Unavailable
from core.jobs import commands
from core.jobs.lifecycle import Status
from core.jobs.live_models import NoticeKind
from core.jobs.models import Job
from core.jobs.notices import note
from core.jobs.verbs import Verb
from core.storage.base import Erased
from core.tables import metadata
from core.webhooks.signing import verify
from tests.api.conftest import MEET, Api
from tests.support.recordings import delivered

pytestmark = pytest.mark.integration

URL = "/api/v1/recordings"
MARKER = "Mrs-Marker"


class FakeRuns:
    """Prefect, as far as erasing goes; `away` as long as it is to be."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []

    async def erase(self, job_id: str, flow_run_id: str | None) -> RunData:
        if self.away:
            raise Unavailable("Prefect is away.")
        self.asked.append(job_id)
        return RunData(flow_runs=1, task_runs=5, logs=20, artifacts=2)


def eraser(api: Api) -> Eraser:
    services = api.app.state.services
    return Eraser(api.book.database, services.storage_of, api.book.clock)


async def marked(api: Api) -> Job:
    """A job with content in every place that there is."""
    marks: dict[str, Any] = {
        "meeting_url": f"{MEET}?x={MARKER}",
        "room_url": f"{MEET}?x={MARKER}",
        "display_name": MARKER,
        "external_id": MARKER,
        "labels": {"who": MARKER},
    }
    job = await delivered(api.book, api.storage, transcript="ready", **marks)
    async with api.book.database.begin() as session:
        await note(session, job.id, NoticeKind.CONSENT, {"displayName": MARKER}, at=api.book.now)
        said = {"message": MARKER}
        await commands.issue(session, job.id, Verb.CHAT, payload=said, now=api.book.now)
        row = await session.get_one(Job, job.id)
        row.failure_detail, row.adapter_error = MARKER, MARKER
    return job


async def everything(api: Api) -> str:
    """All rows of all tables, as text."""
    found = []
    async with api.book.database.begin() as session:
        connection = await session.connection()
        for table in metadata.sorted_tables:
            rows = await connection.execute(text(f'select * from "{table.name}"'))  # noqa: S608
            found += [str(row) for row in rows]
    return "\n".join(found)


async def erasure(api: Api, job: Job) -> Erasure:
    async with api.book.database.begin() as session:
        return await session.get_one(Erasure, job.id)


async def test_nothing_is_left_but_the_usage_and_the_receipt(api: Api) -> None:
    job, other = await marked(api), await delivered(api.book, api.storage)
    assert MARKER in await everything(api)
    assert (await api.live.delete(f"{URL}/{job.id}")).status_code == 204
    assert MARKER not in await everything(api)
    assert list(api.storage.list(f"recordings/{job.id}/")) == []
    assert list(api.storage.list(f"recordings/{other.id}/")) != []
    for path in (f"{URL}/{job.id}", f"/api/v1/jobs/{job.id}/transcript"):
        assert (await api.live.get(path)).status_code == 404
    assert [one["id"] for one in (await api.live.get(URL)).json()["data"]] == [other.id]
    deliveries = await api.live.get("/api/v1/webhooks/deliveries", params={"jobId": job.id})
    assert deliveries.json()["data"] == []
    shown = (await api.live.get(f"/api/v1/jobs/{job.id}")).json()
    assert (shown["status"], shown["meetingUrl"], shown["metadata"]) == ("completed", "", {})
    assert shown["externalId"] == job.id
    async with api.book.database.begin() as session:
        usage = select(UsageEvent).where(UsageEvent.job_id == job.id)
        assert (await session.exec(usage)).one().seconds == 90


async def test_the_receipt_says_what_went_and_is_signed(api: Api) -> None:
    job = await marked(api)
    await api.live.delete(f"{URL}/{job.id}")
    receipt = f"{URL}/{job.id}/deletion"
    assert (await api.live.get(receipt)).json()["status"] == "pending"
    assert await eraser(api).drain(FakeRuns()) == 1
    answer = await api.live.get(receipt)
    found = answer.json()
    assert (found["status"], found["completedAt"]) == ("completed", "2026-05-09T14:00:00.000Z")
    assert found["requestedBy"].startswith("key_")
    erased = found["erased"]
    assert erased["objects"]["objects"] == 7
    assert erased["prefect"]["logs"] == 20
    assert all(erased[place]["left"] == 0 for place in ("rows", "objects", "prefect"))
    assert {"webhook_deliveries", "job_notices", "job_commands"} <= set(erased["rows"]["removed"])
    async with api.book.database.begin() as session:
        team = await session.get_one(Team, api.book.team_id)
    (secret,) = webhook_secrets(team, api.book.box, now=api.book.now)
    assert verify(answer.content, answer.headers["x-meetbot-signature"], secret)
    digest = hashlib.sha256(answer.content).hexdigest()
    assert answer.headers["digest"] == f"sha-256={digest}"
    # It stays as it is.
    api.book.clock.advance(3600)
    assert await eraser(api).drain(FakeRuns()) == 0
    assert (await api.live.delete(f"{URL}/{job.id}")).status_code == 204
    assert (await api.live.get(receipt)).content == answer.content
    assert MARKER not in answer.text
    assert json.loads(answer.content)["kept"]


async def test_a_job_that_is_not_over_is_not_deleted(api: Api) -> None:
    """API-20."""
    job = await api.live_job(Status.FINALIZING)
    answer = await api.live.delete(f"{URL}/{job.id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_state")
    assert (await api.live.get(f"{URL}/{job.id}/deletion")).status_code == 404


async def test_a_bucket_that_is_away_is_emptied_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what Prefect and the machines have to do waits for nobody but them."""
    job = await marked(api)
    erase = api.storage.erase

    def away(prefix: str, first: str) -> Erased:
        raise StorageError("The bucket could not be reached.")

    monkeypatch.setattr(api.storage, "erase", away)
    answer = await api.live.delete(f"{URL}/{job.id}")
    assert (answer.status_code, answer.json()["code"]) == (502, "storage_error")
    # Whatever the bucket does, nobody is shown it.
    assert MARKER not in await everything(api)
    assert (await api.live.get(f"{URL}/{job.id}")).status_code == 404
    runs = FakeRuns()
    assert await eraser(api).drain(runs) == 0
    waiting = await erasure(api, job)
    assert "could not be reached" in (waiting.last_error or "")
    assert waiting.next_attempt_at > api.book.now
    monkeypatch.setattr(api.storage, "erase", erase)
    assert await eraser(api).drain(runs) == 0, "it is not due yet"
    api.book.clock.advance(15)
    assert await eraser(api).drain(runs) == 1
    assert list(api.storage.list(f"recordings/{job.id}/")) == []
    assert (await erasure(api, job)).completed_at == api.book.now


async def test_a_crash_in_the_middle_only_delays_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await marked(api)
    delete = api.storage.delete

    def dies(keys: Any) -> None:
        delete(list(keys)[:3])
        raise KeyboardInterrupt

    monkeypatch.setattr(api.storage, "delete", dies)
    async with api.book.database.begin() as session:
        await request_erasure(session, job.id, by="operator", now=api.book.now)
    with pytest.raises(KeyboardInterrupt):
        await eraser(api).objects(job.id)
    monkeypatch.setattr(api.storage, "delete", delete)
    left = [one.key for one in api.storage.list(f"recordings/{job.id}/")]
    assert len(left) == 4
    assert not [key for key in left if key.endswith("manifest.json")], "the manifest goes first"
    assert await eraser(api).drain(FakeRuns()) == 1
    assert list(api.storage.list(f"recordings/{job.id}/")) == []


async def test_it_waits_for_prefect_and_for_every_machine(api: Api) -> None:
    job = await marked(api)
    await api.live.delete(f"{URL}/{job.id}")
    async with api.book.database.begin() as session:
        await workers.report(session, "machine-1", 60, now=api.book.now)
    runs = FakeRuns()
    runs.away = True
    assert await eraser(api).drain(runs) == 0
    runs.away = False
    api.book.clock.advance(15)
    assert await eraser(api).drain(runs) == 0
    assert "machine-1" in ((await erasure(api, job)).last_error or "")
    async with api.book.database.begin() as session:
        await machine_looked(session, "machine-1", {job.id: 4}, now=api.book.now)
    api.book.clock.advance(60)
    assert await eraser(api).drain(runs) == 1
    assert runs.asked == [job.id], "what was removed there is not asked for again"
    receipt = json.loads((await erasure(api, job)).receipt or "")
    assert receipt["erased"]["machines"]["machine-1"]["files"] == 4
