"""Secrets stay where they belong: none shows in what is kept, logged, told or delivered (CV-15)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql
from sqlmodel import select

from api.schemes import SESSION_COOKIE
from core import sealing
from core.accounts.sessions import csrf_token
from core.clock import SystemClock, rfc3339
from core.jobs.bot_tokens import mint_bot_token
from core.secrets import SecretBox
from core.tables import metadata
from meetbot_server.demo.receiver import Received
from sandbox.schemas import HostAction, RoomOptions
from tests.e2e.calendars import connect_calendar
from tests.e2e.customer import Customer
from tests.e2e.operator import Operator
from tests.support.accounts import signed_in
from tests.support.canaries import canary, in_text, settings_secrets
from tests.support.invites import calendar, event
from tests.support.stack import BUCKET, OVER_HTTP, RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

DISCORD: Final = {"guildId": "123456789012345678", "channelId": "223456789012345678"}
PREFIX: Final = "canaries"
INVITER: Final = "canary@example.com"
# More attempts than a job has here.
FENCES: Final = range(1, 6)
SYSTEM: Final = ("pg_catalog", "information_schema")


@dataclass
class Told:
    """Every secret there is by its kind, and what the product said to its people."""

    secrets: dict[str, str]
    answers: list[tuple[str, str]] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
async def told(product: RunningStack) -> AsyncIterator[Told]:
    """A team that gives away all its secrets, and a meeting that fails in several ways."""
    told = Told(settings_secrets(product.settings))
    async with _browser(product) as person:
        await _log_in(product, person, told)
        keys = {mode: await _key(person, told, mode) for mode in ("live", "test")}
        await _settings(product, person, told)
        await _webhook_secrets(person, told)
        async with _client(product, keys["live"]) as live, _client(product, keys["test"]) as test:
            planned = [await _planned(live, told), await _invited(product, told)]
            told.secrets |= await connect_calendar(product)
            await _meeting(product, test, told)
            await _look_around(product, person, live, test, told)
            yield told
            for job_id in planned:
                assert (await live.delete(f"/api/v1/jobs/{job_id}")).status_code == 204


def _browser(product: RunningStack) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=product.settings.api.public_url, timeout=30, trust_env=False)


def _client(product: RunningStack, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=product.settings.api.public_url,
        headers={"authorization": f"Bearer {key}"},
        timeout=30,
        trust_env=False,
    )


async def _log_in(product: RunningStack, person: httpx.AsyncClient, told: Told) -> None:
    """With a link that works once; trying it again is refused."""
    before = len(product.mailbox.mails)
    sent = await person.post("/auth/magic-link", json={"email": INVITER})
    assert sent.status_code == 202, sent.text
    async with asyncio.timeout(30):
        while len(product.mailbox.mails) == before:
            await asyncio.sleep(0.1)
    found = re.search(r"https?://\S+token=([\w\-]+)", product.mailbox.texts()[-1])
    assert found is not None
    told.secrets["magic link token"] = found[1]
    link = urlsplit(found[0])
    for status in (302, 400):
        answer = await person.get(f"{link.path}?{link.query}")
        assert answer.status_code in {status, 410}, answer.text
    token = person.cookies[SESSION_COOKIE]
    told.secrets |= {"session cookie": token, "CSRF token": csrf_token(token)}
    person.headers["x-csrf-token"] = csrf_token(token)


async def _key(person: httpx.AsyncClient, told: Told, mode: str) -> str:
    # The answer of such a request is kept for the next one.
    made = await person.post(
        "/api/v1/keys",
        json={"name": mode, "mode": mode},
        headers={"idempotency-key": f"canary-{mode}"},
    )
    assert made.status_code == 201, made.text
    told.secrets[f"API key {mode}"] = key = str(made.json()["key"])
    return key


async def _settings(product: RunningStack, person: httpx.AsyncClient, told: Told) -> None:
    told.secrets |= {kind: canary(kind) for kind in ("bucket-secret", "provider-key")}
    stored = await person.put(
        "/api/v1/settings/storage",
        json={
            "bucket": f"s3://{BUCKET}/{PREFIX}",
            "endpoint": product.storage_gate.origin,
            "accessKeyId": "AKIACANARY",
            "secretAccessKey": told.secrets["bucket-secret"],
            "forcePathStyle": True,
        },
    )
    assert stored.status_code == 200, stored.text
    told.secrets["sign-in cookie"] = cookie = canary("sign-in-cookie")
    account = await person.post(
        "/api/v1/integrations/zoom/connect",
        json={"label": "notes@example.com", "storageState": signed_in("zoom.us", cookie)},
    )
    assert account.status_code == 201, account.text
    # Nobody transcribes there.
    provider = await person.put(
        "/api/v1/settings/transcription",
        json={
            "mode": "byok",
            "provider": "whisper",
            "apiKey": told.secrets["provider-key"],
            "baseUrl": f"{product.receiver_gate.origin}/v1",
        },
    )
    assert provider.status_code == 200, provider.text
    told.answers += [
        ("storage", stored.text),
        ("transcription", provider.text),
        ("integration", account.text),
    ]


async def _webhook_secrets(person: httpx.AsyncClient, told: Told) -> None:
    """Two: after the change the one before signs as well."""
    now = await person.get("/api/v1/webhook-secret")
    new = await person.post("/api/v1/webhook-secret/rotate")
    assert new.status_code == 201, new.text
    told.secrets["webhook secret before"] = now.json()["secret"].split(",")[-1]
    told.secrets["webhook secret"] = new.json()["secret"].split(",")[0]


async def _planned(live: httpx.AsyncClient, told: Told) -> str:
    """A job of tomorrow, which keeps its secrets until then."""
    told.secrets |= {kind: canary(kind) for kind in ("discord-bot-token", "meeting-password")}
    made = await live.post(
        "/api/v1/jobs",
        json={
            "meetingUrl": f"discord://{DISCORD['guildId']}/{DISCORD['channelId']}",
            "joinAt": rfc3339(SystemClock().now() + timedelta(days=1)),
            "meetingPassword": told.secrets["meeting-password"],
            "metadata": {
                "discord": DISCORD | {"botToken": told.secrets["discord-bot-token"]},
            },
        },
        headers={"idempotency-key": "canary-planned"},
    )
    assert made.status_code == 201, made.text
    told.answers.append(("job of tomorrow", made.text))
    return _remember(told, made)


async def _invited(product: RunningStack, told: Told) -> str:
    """A job of tomorrow by mail: what the invite says of the meeting is kept for its changes."""
    told.secrets["text of an invite"] = canary("invite-text")
    day = f"{SystemClock().now() + timedelta(days=1):%Y%m%d}"
    invite = event(
        f"DESCRIPTION:{told.secrets['text of an invite']}",
        start=f"DTSTART:{day}T120000Z",
        end=f"DTEND:{day}T130000Z",
        organizer=INVITER,
    )
    token = product.settings.api.intake_tokens[0].get_secret_value()
    async with _client(product, token) as worker:
        answer = await worker.post(
            "/api/v1/intake/calendar-invite",
            json={
                "recipient": "bot@example.com",
                "method": "REQUEST",
                "rawIcs": calendar(invite),
                "sender": INVITER,
                "auth": {
                    "spf": "pass",
                    "dkim": "pass",
                    "dmarc": "pass",
                    "alignedDomain": "example.com",
                },
            },
        )
    assert answer.status_code == 202, answer.text
    told.answers.append(("invite", answer.text))
    (job,) = answer.json()["jobs"]
    return str(job["jobId"])


async def _meeting(product: RunningStack, test: httpx.AsyncClient, told: Told) -> None:
    """Two bots: one is thrown out while storage is away, one finds no room."""
    customer, operator = Customer(product), Operator(product)
    told.secrets["password of a room"] = canary("room-password")
    room = await product.sandbox.create_room(RoomOptions(video=False))
    told.secrets["host token"] = room.host_token.get_secret_value()
    nowhere = room.guest_url.replace(room.room_id, "no-such-room")
    ids = []
    for url in (room.guest_url, nowhere):
        made = await test.post(
            "/api/v1/jobs",
            json={
                "meetingUrl": url,
                "displayName": "Notes",
                "meetingPassword": told.secrets["password of a room"],
                "webhooks": {"onFinalize": product.hook},
                "recording": {"video": "off"},
                "metadata": OVER_HTTP,
            },
        )
        assert made.status_code == 201, made.text
        ids.append(_remember(told, made))
        told.secrets |= {
            f"bot token {ids[-1]} {fence}": mint_bot_token(
                product.settings.encryption_keys, ids[-1], fence
            ).get_secret_value()
            for fence in FENCES
        }
    customer = Customer(_as(product, test))
    await customer.until_recorded(ids[0], 4)
    with product.storage_gate.closed():
        view = await product.sandbox.room(room.room_id)
        (bot,) = [one for one in view.participants if one.kind == "browser"]
        await product.sandbox.host(room.room_id, HostAction.KICK, bot.participant_id)
        await operator.settled_run(ids[0])
    for job_id in ids:
        job = await customer.until_over(job_id, seconds=150)
        assert job["status"] == "failed"
        await customer.until_told(job_id, "job.failed", "failed")
        await operator.settled_run(job_id)
    await product.sandbox.delete(room.room_id)


def _as(product: RunningStack, api: httpx.AsyncClient) -> RunningStack:
    """The same product, asked by another team."""
    return RunningStack(**{**vars(product), "api": api})


def _remember(told: Told, made: httpx.Response) -> str:
    told.jobs.append(str(made.json()["id"]))
    return told.jobs[-1]


async def _look_around(
    product: RunningStack,
    person: httpx.AsyncClient,
    live: httpx.AsyncClient,
    test: httpx.AsyncClient,
    told: Told,
) -> None:
    """What each of the credentials may read; wrong ones are refused."""
    pages = ("jobs", "keys", "consumer", "webhooks/deliveries", "usage", "integrations")
    settings = ("storage", "transcription", "webhooks")
    for client in (live, test):
        for page in pages:
            told.answers.append((page, (await client.get(f"/api/v1/{page}")).text))
    for page in (*pages, *(f"settings/{name}" for name in settings)):
        told.answers.append((page, (await person.get(f"/api/v1/{page}")).text))
    for job_id in told.jobs:
        told.answers.append((job_id, (await test.get(f"/api/v1/jobs/{job_id}")).text))
    assert product.settings.api.admin_token is not None
    admin = product.settings.api.admin_token.get_secret_value()
    async with _client(product, admin) as operator:
        for page in ("api/v1/admin/host", "metrics"):
            told.answers.append((page, (await operator.get(f"/{page}")).text))
    async with _client(product, f"{told.secrets['API key live']}x") as nobody:
        refused = await nobody.get("/api/v1/jobs")
        assert refused.status_code == 401
        told.answers.append(("refused", refused.text))


async def test_every_sealed_column_holds_a_canary(product: RunningStack, told: Told) -> None:
    """Otherwise nothing is proven of that secret: give it away in `told`, too."""
    box = SecretBox(product.settings.encryption_keys)
    async with product.database.begin() as session:
        for column in sealing.sealed_columns(metadata):
            statement = select(column).where(column.is_not(None))
            rows = (await session.exec(statement)).all()
            opened = "\n".join(box.open(one).get_secret_value() for one in rows)
            assert in_text(told.secrets, opened), f"no canary in {column.table.name}.{column.name}"


def test_every_secret_of_the_settings_is_a_canary(told: Told, product: RunningStack) -> None:
    assert all(len(secret) >= 18 for secret in told.secrets.values())
    there = settings_secrets(product.settings)
    assert {"mail.password", "billing.stripe_key", "identities.source_url"} <= there.keys()
    assert {"api.intake_tokens 0", "encryption_keys 0", "prefect.auth"} <= there.keys()


def test_a_secret_is_found_in_any_of_its_forms() -> None:
    secrets = {"key": "a/b secret", "other": "nowhere"}
    for content in ("x a/b secret", "?k=a%2Fb%20secret", b"Basic YS9iIHNlY3JldA=="):
        assert in_text(secrets, content) == {"key"}


async def test_no_database_shows_a_secret(product: RunningStack, told: Told) -> None:
    """Ours and Prefect's: every column of every row, as text."""
    assert product.settings.database_url is not None
    ours = product.settings.database_url.get_secret_value().replace("+psycopg", "")
    for url in (ours, ours.replace("/meetbot?", "/prefect?")):
        seen = 0
        for table, row in await asyncio.to_thread(list, _rows(url)):
            seen += 1
            assert not in_text(told.secrets, row), f"a secret is in {table}"
        assert seen > 50


def _rows(url: str) -> Iterator[tuple[str, str]]:
    """Each row of each table as text, with the name of its table."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE' AND NOT table_schema = ANY(%s)",
            [list(SYSTEM)],
        ).fetchall()
        for schema, table in tables:
            name = sql.Identifier(schema, table)
            for (row,) in connection.execute(sql.SQL("SELECT t::text FROM {} t").format(name)):
                yield f"{schema}.{table}", row


async def test_no_file_of_the_stack_shows_a_secret(product: RunningStack, told: Told) -> None:
    """Logs of all processes, Prefect's home, what is left of meetings."""
    root = product.settings.data_dir
    kept = {root / "secrets.json"}
    read = 0
    for path in sorted(root.rglob("*")):
        in_database = (root / "postgres") in path.parents and path.name != "server.log"
        if path in kept or in_database or not path.is_file():
            continue
        read += 1
        shown = in_text(told.secrets, path.read_bytes())
        assert not shown, f"{shown} in {path.relative_to(root)}"
    assert {"api.log", "worker.log"} <= {path.name for path in (root / "logs").iterdir()}
    assert read > 5


async def test_no_object_in_the_bucket_shows_a_secret(product: RunningStack, told: Told) -> None:
    entries = await asyncio.to_thread(lambda: list(product.bucket.list("")))
    assert any(entry.key.startswith(f"{PREFIX}/") for entry in entries)
    for entry in entries:
        content = await asyncio.to_thread(product.bucket.get_bytes, entry.key)
        shown = in_text(told.secrets, content)
        assert not shown, f"{shown} in {entry.key}"


def test_no_webhook_shows_a_secret(product: RunningStack, told: Told) -> None:
    """WH-36."""
    mine: list[Received] = [
        one for one in product.receiver.received if one.body["data"].get("jobId") in told.jobs
    ]
    assert {"job.status_changed", "job.failed"} <= {one.event for one in mine}
    for one in product.receiver.received:
        assert not in_text(told.secrets, json.dumps(one.body, ensure_ascii=False))


def test_no_answer_shows_a_secret_again(told: Told) -> None:
    """Once at creation, never later; the operator sees none either."""
    assert len(told.answers) > 15
    for where, text in told.answers:
        shown = in_text(told.secrets, text)
        assert not shown, f"{shown} in the answer about {where}"


async def test_prefect_answers_without_secrets(product: RunningStack, told: Told) -> None:
    """AR-09: what its pages show of the runs."""
    operator = Operator(product)
    for job_id in told.jobs[1:]:
        run: Any = await operator.settled_run(job_id)
        assert not in_text(told.secrets, run.everything)
