"""What operators see of a deployment: metrics, readiness, request lines, OpenTelemetry."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from prometheus_client.parser import text_string_to_metric_families
from pydantic import HttpUrl, SecretStr
from sqlalchemy import text

from api.app import create_app
from core.dispatch import workers
from core.jobs.lifecycle import Event, Status
from core.secrets import generate_key
from core.settings import LogSettings, Settings, StorageSettings
from tests.api.conftest import Api, LoggingDispatcher
from tests.api.credentials import ask, credential
from tests.support.api_server import running_api

pytestmark = pytest.mark.integration


async def read(api: Api) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples that Prometheus gets, by name and labels."""
    answer = await ask(api, "GET", "/metrics", await credential(api, "admin"))
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"meetbot_{name}", frozenset(labels.items())


async def test_metrics_are_the_operators(api: Api) -> None:
    for client in (api.anonymous, api.live):
        assert (await client.get("/metrics")).status_code == 401


async def test_metrics_count_jobs_and_what_waits(api: Api) -> None:
    book = api.book
    await book.add(platform="zoom", join_at=book.now + timedelta(hours=1))
    late = await book.add(join_at=book.now - timedelta(seconds=40))
    inside = await book.add()
    fence = await book.bring_to(inside, Status.JOINING)
    book.clock.advance(3)
    await book.report(inside, Event.ADMITTED, fence)
    async with book.database.begin() as session:
        await workers.report(session, "machine-1", 96.0, now=book.now)
    found = await read(api)
    assert found[key("jobs", status="queued", platform="zoom")] == 1
    assert found[key("jobs", status="queued", platform="meet")] == 1
    assert found[key("jobs", status="in_meeting", platform="meet")] == 1
    assert found[key("start_lag_seconds")] == 43, late.id
    assert found[key("joins")] == 1
    assert found[key("join_seconds", quantile="0.99")] == 3
    # Two moves, each with a webhook that nobody has sent.
    assert found[key("webhooks_waiting")] == 2
    assert found[key("webhooks_overdue_seconds")] == 3
    assert found[key("uploads_postponed")] == 0
    assert found[key("worker_budget", worker="machine-1")] == 96
    assert found[key("worker_used")] > 10


async def test_requests_are_counted_by_the_pattern_of_their_path(api: Api) -> None:
    """What stands in a path may be a secret, and would make a series of its own."""
    for job_id in ("nobody", "nobody-else"):
        await api.live.get(f"/api/v1/jobs/{job_id}")
    await api.anonymous.get("/nowhere")
    found = await read(api)
    labels = {"method": "GET", "status": "404"}
    route = {**labels, "route": "/api/v1/jobs/{id}"}
    assert found[key("http_request_seconds_count", **route)] == 2
    assert found[key("http_request_seconds_count", **labels, route="(none)")] == 1


async def test_a_request_is_one_line_without_what_is_in_its_path(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "api.requests"):
        await api.anonymous.post("/api/v1/cli-auth/poll/some-nonce-that-is-a-secret")
    (record,) = (one for one in caplog.records if one.name == "api.requests")
    assert record.getMessage().startswith("POST /api/v1/cli-auth/poll/{nonce} 404 in ")
    assert "some-nonce" not in caplog.text


async def test_a_database_of_another_schema_is_not_ready(api: Api) -> None:
    assert (await api.anonymous.get("/readyz")).status_code == 200
    async with api.book.database.begin() as session:
        connection = await session.connection()
        (right,) = (await connection.execute(text("SELECT version_num FROM alembic_version"))).one()
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    try:
        answer = await api.anonymous.get("/readyz")
        assert answer.status_code == 503
        assert "meetbot-server migrate" in answer.json()["message"]
        assert (await api.anonymous.get("/healthz")).status_code == 200
    finally:
        async with api.book.database.begin() as session:
            connection = await session.connection()
            back = text("UPDATE alembic_version SET version_num = :right")
            await connection.execute(back, {"right": right})


@pytest.fixture
async def collector() -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
    """Something that takes OTLP over HTTP: its origin, and the paths and bodies it got."""
    got: list[tuple[str, bytes]] = []
    app = FastAPI()

    @app.post("/v1/{kind}")
    async def take(kind: str, request: Request) -> None:
        got.append((kind, await request.body()))

    async with running_api(app) as origin:
        yield origin, got


async def test_spans_and_figures_go_to_the_collector(
    settings: Settings, collector: tuple[str, list[tuple[str, bytes]]]
) -> None:
    origin, got = collector
    told = settings.model_copy(update={"logs": LogSettings(otlp_endpoint=HttpUrl(origin))})
    app = create_app(told, dispatcher=lambda _: LoggingDispatcher())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client,
    ):
        await client.get("/healthz?secret=hidden-away")
    bodies = dict(got)
    assert set(bodies) == {"traces", "metrics"}
    assert b"/healthz" in bodies["traces"]
    assert b"meetbot-api" in bodies["traces"]
    assert b"http.server.request.duration" in bodies["metrics"]


def test_without_a_collector_nothing_is_measured(tmp_path: Path) -> None:
    app = create_app(
        Settings(
            data_dir=tmp_path,
            database_url=SecretStr("postgresql://x/y"),
            encryption_keys=(generate_key(),),
            storage=StorageSettings(link_secret=SecretStr("x")),
        )
    )
    assert not app._native_telemetry.enabled()
