"""Every error path answers with the one envelope (CV-09, CV-17, CV-18)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import httpx
import jsonschema
import pytest

from api.app import create_app
from api.errors import STATUSES, answers
from core import errors as domain
from core.errors import BadInput, MeetbotError, RateLimited, Unavailable
from core.secrets import generate_key
from core.settings import Settings
from meetbot_server.contracts.files import FOLDER, ROOT
from tests.api.conftest import MEET, Api

pytestmark = pytest.mark.integration

TEXT = {"type": "string", "minLength": 1}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error", "code", "message"],
    "additionalProperties": False,
    "properties": {
        "error": {"enum": sorted({one.error for one in answers()})},
        "code": TEXT,
        "message": TEXT,
        "issues": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["path", "code", "message"],
                "additionalProperties": False,
                "properties": {
                    "path": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "code": TEXT,
                    "message": TEXT,
                },
            },
        },
    },
    "if": {"properties": {"error": {"const": "invalid_input"}}},
    "then": {"required": ["issues"]},
}


def check(answer: httpx.Response, status: int, error: str, code: str) -> None:
    content = answer.json()
    jsonschema.validate(content, SCHEMA)
    assert (answer.status_code, content["error"], content["code"]) == (status, error, code)
    assert answer.headers["x-request-id"].startswith("req_")


async def test_each_way_to_go_wrong(api: Api) -> None:
    unknown = "/api/v1/jobs/job_01HXY1AB7M2QNTWA9YQRH5JEP6"
    check(await api.anonymous.get("/api/v1/jobs"), 401, "unauthorized", "unauthorized")
    check(await api.live.get(unknown), 404, "not_found", "not_found")
    check(await api.live.get("/api/v1/jobs/nonsense"), 404, "not_found", "not_found")
    check(await api.live.get("/nowhere"), 404, "not_found", "not_found")
    check(await api.live.put("/api/v1/jobs"), 405, "method_not_allowed", "method_not_allowed")
    check(await api.live.post("/api/v1/jobs", json={}), 400, "invalid_input", "invalid_input")
    large = {"url": MEET, "metadata": {"a": "x" * 20_000}}
    check(await api.live.post("/api/v1/jobs", json=large), 413, "too_large", "too_large")


@pytest.mark.parametrize("announced", [True, False])
async def test_huge_bodies_are_refused_announced_or_not(api: Api, announced: bool) -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 100_000

    content: Any = b"x" * 2_000_000 if announced else chunks()
    answer = await api.live.post(
        "/api/v1/jobs", content=content, headers={"content-type": "application/json"}
    )
    check(answer, 413, "too_large", "too_large")


async def test_bad_keys_are_refused_before_the_body_is_looked_at(api: Api) -> None:
    """AU-04."""
    for header in ("", "Bearer", "Basic x", "Bearer mb_test_000000000000000000000000"):
        answer = await api.anonymous.post(
            "/api/v1/jobs", json={"url": MEET}, headers={"authorization": header}
        )
        check(answer, 401, "unauthorized", "unauthorized")


CASES: list[tuple[Callable[[], Exception], int, str, str]] = [
    (lambda: domain.BadInput("Say what."), 400, "invalid_input", "invalid_input"),
    (lambda: domain.PaymentRequired("Pay."), 402, "payment_required", "credit_exhausted"),
    (lambda: domain.Forbidden("No."), 403, "forbidden", "forbidden"),
    (lambda: domain.Expired("Gone."), 410, "gone", "expired"),
    (lambda: domain.InvalidState("No."), 409, "conflict", "invalid_state"),
    (lambda: domain.UnsupportedOnPlatform("No."), 409, "conflict", "unsupported_on_platform"),
    (lambda: domain.IdempotencyMismatch("No."), 409, "conflict", "idempotency_mismatch"),
    (lambda: domain.StaleAttempt("Old."), 409, "conflict", "stale_attempt"),
    (lambda: RateLimited("Slow down.", 7), 429, "rate_limited", "rate_limited"),
    (lambda: domain.StorageRefused("No."), 502, "storage_error", "storage_error"),
    (
        lambda: domain.PaymentServiceError("No."),
        *(502, "payment_service_error", "payment_service_error"),
    ),
    (lambda: Unavailable("Down."), 503, "unavailable", "unavailable"),
    (lambda: domain.ModelMissing("marker"), 500, "internal_error", "internal_error"),
    (lambda: RuntimeError("marker"), 500, "internal_error", "internal_error"),
]


@pytest.mark.parametrize(("make", "status", "error", "code"), CASES, ids=lambda c: str(c)[:20])
async def test_each_error_of_the_domain_has_its_answer(
    api: Api, make: Callable[[], Exception], status: int, error: str, code: str
) -> None:
    """CV-18, CV-19; what happened inside stays inside."""

    @api.app.get("/fail")
    async def fail() -> None:
        raise make()

    answer = await api.live.get("/fail")
    check(answer, status, error, code)
    assert "marker" not in answer.text
    if status == 429:
        assert answer.headers["retry-after"] == "7"


def test_every_error_that_callers_can_cause_is_in_the_table() -> None:
    listed = tuple(kind for kind, _ in STATUSES)
    inside = (domain.MeetingError, domain.TranscriptionError, domain.JobCancelled)
    for kind in vars(domain).values():
        if isinstance(kind, type) and issubclass(kind, MeetbotError) and kind is not MeetbotError:
            assert issubclass(kind, listed) or issubclass(kind, inside), kind


async def test_health_needs_no_key(api: Api) -> None:
    """API-28."""
    answer = await api.anonymous.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert set(answer.json()) == {"status", "version", "region"}
    assert answer.headers["x-request-id"]


async def test_health_says_when_the_database_is_gone(settings: Settings) -> None:
    class NoDispatcher:
        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *_: object) -> None:
            return None

    gone = settings.model_copy(
        update={"database_url": type(settings.encryption_keys[0])("postgresql://x@127.0.0.1:1/x")}
    )
    app = create_app(gone, dispatcher=lambda _: NoDispatcher())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.example") as client,
    ):
        check(await client.get("/healthz"), 503, "unavailable", "unavailable")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"database_url": None}, "MEETBOT_DATABASE_URL"),
        ({"encryption_keys": ()}, "MEETBOT_ENCRYPTION_KEYS"),
    ],
)
def test_a_missing_setting_stops_the_start(changes: dict[str, Any], named: str) -> None:
    whole = {"database_url": "postgresql://x/y", "encryption_keys": (generate_key(),)}
    with pytest.raises(BadInput, match=named):
        create_app(Settings(**(whole | changes)))


async def test_the_document_never_mentions_422_and_names_every_operation_once(api: Api) -> None:
    """CV-01, CV-10, CON-44; which routes there are is in contracts/openapi.json."""
    document = (await api.anonymous.get("/openapi.json")).json()
    assert '"422"' not in json.dumps(document)
    ids = [o["operationId"] for p in document["paths"].values() for o in p.values()]
    assert {"createJob", "getJob", "cancelJob", "listJobs", "requestRecordingPermission"} <= set(
        ids
    )
    assert len(ids) == len(set(ids))


async def test_each_route_names_its_scheme_and_what_it_takes(api: Api) -> None:
    """AU-08: bots have a scheme of their own; the body that a route reads itself is described."""
    paths = (await api.anonymous.get("/openapi.json")).json()["paths"]
    ingest = paths["/api/v1/ingest"]["post"]
    assert (ingest["tags"], ingest["security"]) == (["ingest"], [{"ingest": []}])
    output = paths["/api/v1/jobs/{id}/output-media"]["post"]
    assert (output["tags"], output["security"]) == (["bots"], [{"key": []}])
    assert output["requestBody"]["required"] is True
    schema = output["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"kind", "url", "data", "loop"}
    assert {"202", "400", "401", "404", "409", "413", "502", "503"} <= set(output["responses"])


async def test_a_wrong_method_is_told_all_right_ones(api: Api) -> None:
    """CV-18, and RFC 9110: also where a path's methods are routes of their own."""
    answer = await api.live.request("PUT", "/api/v1/jobs/nobody")
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET"


def test_the_requirement_and_the_document_name_the_same_errors() -> None:
    """CV-18: whoever adds one to either has to add it to the other."""
    document = json.loads((FOLDER / "failure-codes.json").read_text())
    assert document["errors"] == [asdict(one) for one in answers()]
    rows = (ROOT / "docs" / "requirements.md").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith("| CV-18 |")]
    codes = row.partition("Codes and their")[2].partition("| E ")[0]
    named = set(re.findall(r"`([a-z_]+)`", codes)) - {"error", "code"}
    assert named == {name for one in answers() for name in (one.error, one.code)}
