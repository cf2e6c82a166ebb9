"""A team's storage and transcription, as it sets them (API-43, API-44, API-84, MF-21)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from api.output_media import tidy
from core.accounts.models import Team
from core.accounts.people import sign_in
from core.accounts.sessions import open_session
from core.jobs.lifecycle import Status
from core.jobs.models import Job
from core.jobs.verbs import Outcome
from core.settings import StorageSettings
from core.storage.s3 import S3Storage
from core.storage.team import TeamStorage
from core.transcripts.models import ProviderKey
from tests.api.conftest import MEET, Api
from tests.api.credentials import LoggedIn
from tests.support.s3_server import S3Server, running_s3_server

pytestmark = pytest.mark.integration

STORAGE = "/api/v1/settings/storage"
TRANSCRIPTION = "/api/v1/settings/transcription"
SECRET = "the very secret key"
BUCKET: dict[str, Any] = {
    "bucket": "s3://acme-calls/eu/meetings/",
    "endpoint": "https://s3.eu-central-1.example",
    "region": "eu-central-1",
    "accessKeyId": "AKIAEXAMPLE",
    "secretAccessKey": SECRET,
    "forcePathStyle": True,
    "encryption": {"mode": "aws:kms", "kmsKeyId": "alias/acme"},
}


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server


@pytest.fixture
async def person(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody of the keys' team, logged in."""
    book = api.book
    async with book.database.begin() as session:
        user, _ = await sign_in(session, book.box, "ada@example.com", now=book.now)
        team = await session.get_one(Team, book.team_id)
        token = await open_session(session, user, team, life=timedelta(days=1), now=book.now)
    headers = LoggedIn(token, user.id, team.id).headers
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api.app, raise_app_exceptions=False),
        base_url="http://api.example",
        headers=headers,
    ) as client:
        yield client


def operator(api: Api, **changes: Any) -> None:
    """The operator's storage is set differently."""
    services = api.app.state.services
    storage = StorageSettings(kind="s3", bucket="operators", **changes)
    settings = services.settings.model_copy(update={"storage": storage})
    object.__setattr__(services, "settings", settings)


async def job(api: Api, job_id: str) -> Job:
    async with api.book.database.begin() as session:
        return await session.get_one(Job, job_id)


async def test_a_bucket_is_stored_and_shown_without_its_secret(
    api: Api, person: httpx.AsyncClient
) -> None:
    assert (await person.get(STORAGE)).json()["configured"] is False
    saved = await person.put(STORAGE, json=BUCKET)
    assert saved.status_code == 200, saved.text
    shown = await person.get(STORAGE)
    assert shown.json() == saved.json()
    assert SECRET not in shown.text
    assert shown.json() == {
        "configured": True,
        "managed": False,
        "managedOffered": True,
        "bucket": "s3://acme-calls/eu/meetings",
        "endpoint": "https://s3.eu-central-1.example",
        "region": "eu-central-1",
        "accessKeyId": "AKIAEXAMPLE",
        "hasSecretAccessKey": True,
        "forcePathStyle": True,
        "encryption": {"mode": "aws:kms", "kmsKeyId": "alias/acme"},
        "updatedAt": "2026-05-09T14:00:00.000Z",
    }
    consumer = (await api.live.get("/api/v1/consumer")).json()
    assert consumer["storage"] == {"bucket": "s3://acme-calls/eu/meetings", "configured": True}


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"bucket": "acme-calls"}, ["bucket"], "s3://"),
        ({"bucket": "s3://Acme"}, ["bucket"], "s3://"),
        ({"bucket": "s3://acme/a//b"}, ["bucket"], "prefix"),
        ({"bucket": "s3://acme/../other"}, ["bucket"], "prefix"),
        ({"bucket": None}, [], "bucket"),
        ({"accessKeyId": None}, [], "accessKeyId"),
        ({"secretAccessKey": None}, ["secretAccessKey"], "secretAccessKey"),
        ({"managed": True}, [], "not both"),
        ({"endpoint": "http://s3.example"}, ["endpoint"], "https"),
        ({"endpoint": "https://minio.internal.example"}, ["endpoint"], "public internet"),
        ({"region": "eu/../x"}, ["region"], "pattern"),
        ({"encryption": {"mode": "AES256", "kmsKeyId": "k"}}, ["encryption"], "kmsKeyId"),
        ({"encryption": {"mode": "rot13"}}, ["encryption", "mode"], "AES256"),
    ],
)
async def test_what_is_wrong_with_a_bucket_is_said(
    person: httpx.AsyncClient, changes: dict[str, Any], path: list[str], words: str
) -> None:
    answer = await person.put(STORAGE, json=BUCKET | changes)
    assert answer.status_code == 400, answer.text
    (issue, *_) = answer.json()["issues"]
    assert issue["path"] == path
    assert words in issue["message"]
    assert SECRET not in answer.text


async def test_a_secret_is_kept_for_the_key_it_belongs_to(person: httpx.AsyncClient) -> None:
    await person.put(STORAGE, json=BUCKET)
    without = {name: value for name, value in BUCKET.items() if name != "secretAccessKey"}
    assert (await person.put(STORAGE, json=without | {"region": "eu-west-1"})).status_code == 200
    other = await person.put(STORAGE, json=without | {"accessKeyId": "AKIAOTHER"})
    assert (other.status_code, other.json()["issues"][0]["path"]) == (400, ["secretAccessKey"])


async def test_jobs_keep_the_storage_they_began_with_and_others_follow(
    api: Api, person: httpx.AsyncClient
) -> None:
    await person.put(STORAGE, json=BUCKET)
    first = await api.create()
    begun = await api.live_job(storage_id=(await job(api, first["id"])).storage_id)
    await person.put(STORAGE, json=BUCKET | {"bucket": "s3://acme-new"})
    waiting, going_on = await job(api, first["id"]), await job(api, begun.id)
    assert waiting.storage_id != going_on.storage_id == begun.storage_id
    assert going_on.storage_id is not None
    # New keys for the old place open it for those who began there; the choice is that place again.
    api.book.clock.advance(1)
    await person.put(STORAGE, json=BUCKET | {"accessKeyId": "AKIANEW"})
    assert (await person.get(STORAGE)).json()["accessKeyId"] == "AKIANEW"
    assert (await job(api, first["id"])).storage_id == going_on.storage_id
    storage = await api.app.state.services.storage_of(going_on)
    assert storage.uri("recordings/a") == "s3://acme-calls/eu/meetings/recordings/a"


async def test_a_live_job_needs_a_storage(api: Api, person: httpx.AsyncClient) -> None:
    """MF-21; a test key has the sandbox's (AU-06)."""
    operator(api)
    refused = await api.live.post("/api/v1/jobs", json={"meetingUrl": MEET})
    assert refused.status_code == 400
    assert refused.json()["issues"][0]["path"] == ["storage"]
    assert "/api/v1/settings/storage" in refused.json()["message"]
    assert (await api.test.post("/api/v1/jobs", json={"meetingUrl": MEET})).status_code == 201

    assert (await person.put(STORAGE, json={"managed": True})).json()["managed"] is True
    assert (await job(api, (await api.create())["id"])).storage_id is None

    await person.put(STORAGE, json=BUCKET)
    assert (await job(api, (await api.create())["id"])).storage_id is not None


async def test_an_operator_may_offer_no_storage_or_give_it_to_all(
    api: Api, person: httpx.AsyncClient
) -> None:
    operator(api, managed="everyone")
    assert (await job(api, (await api.create())["id"])).storage_id is None
    await person.put(STORAGE, json={"managed": True})
    operator(api, managed="off")
    assert (await person.get(STORAGE)).json()["managedOffered"] is False
    refused = await person.put(STORAGE, json={"managed": True})
    assert (refused.status_code, refused.json()["issues"][0]["path"]) == (400, ["managed"])
    none = await api.live.post("/api/v1/jobs", json={"meetingUrl": MEET})
    assert none.status_code == 400
    assert "managed" not in none.json()["message"]


async def test_a_repeated_request_finds_its_job_whatever_the_storage_is_by_then(
    api: Api, person: httpx.AsyncClient
) -> None:
    made = await api.create(externalId="call-1")
    operator(api)
    again = await api.live.post("/api/v1/jobs", json={"meetingUrl": MEET, "externalId": "call-1"})
    assert (again.status_code, again.json()["id"]) == (200, made["id"])


def body_of(server: S3Server, name: str, trusted_port: int) -> dict[str, Any]:
    return {
        "bucket": f"s3://{name}/acme",
        "endpoint": server.endpoint,
        "accessKeyId": "test",
        "secretAccessKey": "test",
        "forcePathStyle": True,
    }


@pytest.fixture
def trusted(api: Api, s3_server: S3Server) -> None:
    """The operator trusts the store of these tests."""
    services = api.app.state.services
    origins = (*services.settings.trusted_origins, s3_server.endpoint)
    settings = services.settings.model_copy(update={"trusted_origins": origins})
    object.__setattr__(services, "settings", settings)
    services.storages._trusted = origins


async def test_the_test_of_a_bucket_writes_and_deletes(
    api: Api, person: httpx.AsyncClient, s3_server: S3Server, trusted: None, trusted_port: int
) -> None:
    none = await person.post(f"{STORAGE}/test")
    assert (none.status_code, none.json()["issues"][0]["path"]) == (400, ["bucket"])
    made = s3_server.bucket("probed", prefix="acme")
    body = body_of(s3_server, "probed", trusted_port)
    unsaved = await person.post(f"{STORAGE}/test", json=body)
    assert unsaved.status_code == 200, unsaved.text
    await person.put(STORAGE, json=body)
    answer = await person.post(f"{STORAGE}/test")
    assert answer.json()["bucket"] == "s3://probed/acme"
    assert [step["step"] for step in answer.json()["steps"]] == ["write", "read", "list", "delete"]
    assert list(await asyncio.to_thread(lambda: list(S3Storage(made).list("")))) == []


async def test_a_bucket_that_fails_the_test_says_what_to_do(
    person: httpx.AsyncClient, s3_server: S3Server, trusted: None, trusted_port: int
) -> None:
    answer = await person.post(f"{STORAGE}/test", json=body_of(s3_server, "absent", trusted_port))
    assert (answer.status_code, answer.json()["code"]) == (502, "storage_error")
    assert "NoSuchBucket" in answer.json()["message"]
    assert "s3:PutObject" in answer.json()["message"]


async def test_media_for_a_bot_goes_to_the_storage_of_its_job(
    api: Api, person: httpx.AsyncClient, s3_server: S3Server, trusted: None, trusted_port: int
) -> None:
    """Lent, and taken back after the job ended, where it lies."""
    made = S3Storage(s3_server.bucket("lending", prefix="acme"))
    await person.put(STORAGE, json=body_of(s3_server, "lending", trusted_port))
    first = await job(api, (await api.create())["id"])
    live = await api.live_job(storage_id=first.storage_id)
    image = {"kind": "image", "data": "iVBORw0KGgoAAAANSUhEUg=="}
    answer = await api.live.post(f"/api/v1/jobs/{live.id}/output-media", json=image)
    assert answer.status_code == 202, answer.text
    stored = await asyncio.to_thread(lambda: list(made.list("recordings/")))
    assert [one.key.split("/")[1] for one in stored] == [live.id]
    await api.settle(answer.json()["commandId"], Outcome.DONE)
    await tidy(api.app.state.services)
    assert await asyncio.to_thread(lambda: list(made.list("recordings/"))) == []


async def test_nothing_is_transcribed_until_the_team_wants_it(api: Api) -> None:
    shown = (await api.live.get(TRANSCRIPTION)).json()
    assert (shown["mode"], shown["provider"], shown["hasApiKey"]) == ("off", None, False)
    assert (await api.create())["transcription"]["mode"] == "off"


async def test_a_provider_key_is_stored_and_never_shown(api: Api) -> None:
    body = {"mode": "byok", "provider": "deepgram", "apiKey": SECRET, "language": "de"}
    saved = await api.live.put(TRANSCRIPTION, json=body)
    assert saved.status_code == 200, saved.text
    assert SECRET not in saved.text
    shown = (await api.live.get(TRANSCRIPTION)).json()
    assert (shown["mode"], shown["provider"], shown["hasApiKey"]) == ("byok", "deepgram", True)
    assert [one["hasApiKey"] for one in shown["providers"]] == [False, True, False]
    async with api.book.database.begin() as session:
        row = await session.get_one(ProviderKey, (api.book.team_id, "deepgram"))
    assert api.book.box.open(row.api_key).get_secret_value() == SECRET
    made = (await api.create())["transcription"]
    assert made == {"mode": "byok", "provider": "deepgram", "language": "de", "wait": True}
    consumer = (await api.live.get("/api/v1/consumer")).json()
    assert consumer["transcription"] == {"mode": "byok", "provider": "deepgram"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"mode": "byok"}, []),
        ({"mode": "byok", "provider": "deepgram"}, ["transcription", "mode"]),
        ({"mode": "addon", "apiKey": "k"}, []),
        ({"mode": "addon", "provider": "deepgram", "model": "nova-3"}, ["apiKey"]),
        ({"mode": "byok", "provider": "google", "apiKey": "k"}, ["provider"]),
        (
            {
                "mode": "byok",
                "provider": "whisper",
                "apiKey": "k",
                "baseUrl": "https://asr.internal.example/v1",
            },
            ["baseUrl"],
        ),
        ({"mode": "addon", "language": "german!"}, ["language"]),
    ],
)
async def test_what_is_wrong_with_transcription_is_said(
    api: Api, body: dict[str, Any], path: list[str]
) -> None:
    answer = await api.live.put(TRANSCRIPTION, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["issues"][0]["path"] == path


async def test_a_key_is_not_taken_to_another_server(api: Api) -> None:
    """Whoever may change the address must not be able to learn the key by that."""
    good = {"mode": "byok", "provider": "whisper", "apiKey": SECRET}
    await api.live.put(TRANSCRIPTION, json=good)
    moved = {"mode": "byok", "provider": "whisper", "baseUrl": "https://evil.example/v1"}
    answer = await api.live.put(TRANSCRIPTION, json=moved)
    assert (answer.status_code, answer.json()["issues"][0]["path"]) == (400, ["apiKey"])
    assert (await api.live.put(TRANSCRIPTION, json=moved | {"apiKey": "other"})).is_success
    kept = await api.live.put(TRANSCRIPTION, json={"mode": "off", "provider": "whisper"})
    assert kept.json()["providers"][2]["baseUrl"] == "https://evil.example/v1"
    gone = await api.live.put(
        TRANSCRIPTION, json={"mode": "off", "provider": "whisper", "apiKey": None}
    )
    assert gone.json()["providers"][2]["hasApiKey"] is False


async def test_a_job_may_name_a_provider_with_a_stored_key_only(api: Api) -> None:
    """API-61."""
    asked: dict[str, Any] = {"meetingUrl": MEET, "transcription": {"mode": "byok"}}
    refused = await api.live.post("/api/v1/jobs", json=asked)
    assert refused.status_code == 400
    assert refused.json()["issues"][0]["path"] == ["transcription", "provider"]
    asked["transcription"]["provider"] = "assemblyai"
    refused = await api.live.post("/api/v1/jobs", json=asked)
    assert refused.json()["issues"][0]["code"] == "no_provider_key"
    key = {"mode": "off", "provider": "assemblyai", "apiKey": SECRET}
    assert (await api.live.put(TRANSCRIPTION, json=key)).json()["mode"] == "off"
    made = await api.create(transcription={"mode": "byok"})
    assert made["transcription"]["provider"] == "assemblyai"
    assert (await api.create())["transcription"]["mode"] == "off"


async def test_settings_are_told_apart_by_team(api: Api, person: httpx.AsyncClient) -> None:
    await person.put(STORAGE, json=BUCKET)
    async with api.book.database.begin() as session:
        stranger, team = await sign_in(session, api.book.box, "eve@example.com", now=api.book.now)
        life = timedelta(days=1)
        token = await open_session(session, stranger, team, life=life, now=api.book.now)
    eve = LoggedIn(token, stranger.id, team.id)
    shown = await api.anonymous.get(STORAGE, headers=eve.headers)
    assert shown.json()["configured"] is False
    async with api.book.database.begin() as session:
        live = await api.live_job(Status.RECORDING)
        assert await session.get(TeamStorage, live.storage_id or "") is None
