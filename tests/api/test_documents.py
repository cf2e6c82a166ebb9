"""The documents: valid, complete, served, and telling the truth about webhooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from sqlmodel import select

from api.routes.documents import FILES
from api.schemas.webhooks import WEBHOOKS
from core.jobs import notices
from core.jobs.failures import ExitReason, FailureCode
from core.jobs.lifecycle import Event, Status
from core.jobs.settlement import Settlement, settle
from core.webhooks.events import Envelope, EventName, body
from core.webhooks.models import Delivery
from meetbot_server.contracts import files, texts
from tests.api.conftest import Api

pytestmark = pytest.mark.integration
CONTRACTS = Path(__file__).parents[2] / "contracts"


def contract(name: str) -> Any:
    return json.loads((CONTRACTS / name).read_text())


def test_the_committed_documents_are_those_of_the_code() -> None:
    """DOC-04, DOC-09."""
    assert files.stale() == [], "write them anew: make contracts"


def test_both_openapi_documents_are_valid_and_have_the_same_operations() -> None:
    """DOC-06, DOC-22."""
    newest, older = contract("openapi.json"), contract("openapi-3.0.json")
    assert (newest["openapi"], older["openapi"]) == ("3.1.0", "3.0.3")
    OpenAPIV31SpecValidator(newest).validate()
    OpenAPIV30SpecValidator(older).validate()
    assert yaml.safe_load((CONTRACTS / "openapi.yaml").read_text()) == newest
    assert operations(newest) == operations(older)
    assert "webhooks" not in older
    assert '"null"' not in json.dumps(older)


def operations(document: dict[str, Any]) -> set[str]:
    return {one["operationId"] for path in document["paths"].values() for one in path.values()}


def test_every_operation_has_one_known_tag_and_every_failure_the_envelope() -> None:
    """AU-08, CV-09, DOC-07."""
    document = contract("openapi.json")
    tags = {tag["name"] for tag in document["tags"]}
    for path in document["paths"].values():
        for operation in path.values():
            assert len(operation["tags"]) == 1, operation["operationId"]
            assert set(operation["tags"]) <= tags
            for status, answer in operation["responses"].items():
                assert "x-request-id" in answer["headers"]
                if status >= "400":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorOut"}


def test_every_operation_has_a_title_of_its_own() -> None:
    """DOC-07."""
    document = contract("openapi.json")
    titles = [one["summary"] for path in document["paths"].values() for one in path.values()]
    assert len(titles) == len(set(titles)) == len(operations(document))
    assert {"Create job", "Get job evidence", "Init CLI auth", "Connect Google"} <= set(titles)


def test_every_failure_code_is_described_once() -> None:
    """FC-01, FC-11."""
    listed = [one["code"] for one in contract("failure-codes.json")["failureCodes"]]
    assert sorted(listed) == sorted(FailureCode)


def test_every_page_is_in_both_texts() -> None:
    """DOC-02, DOC-03."""
    pages = texts.pages(files.ROOT / "docs")
    short, full = (CONTRACTS / "llms.txt").read_text(), (CONTRACTS / "llms-full.txt").read_text()
    assert short.startswith("# meetbot\n\n> ")
    assert all(f"[{page.title}]({page.url}): " in short for page in pages)
    assert [line[3:] for line in full.splitlines() if line.startswith("## ")] == [
        page.title for page in pages
    ]
    assert full.count("\nSource: https://meetbot.dev/docs") == len(pages)


def test_a_page_that_nobody_listed_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "new.md").write_text("# New\n\nText.\n")
    with pytest.raises(ValueError, match=r"new\.md"):
        texts.pages(tmp_path)


async def test_all_documents_are_served(api: Api) -> None:
    """API-48."""
    for name, media_type in FILES.items():
        answer = await api.anonymous.get(f"/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == media_type
        assert answer.content == (CONTRACTS / name).read_bytes()
    served = await api.anonymous.get("/openapi.yaml")
    assert served.headers["content-type"] == "application/yaml"
    as_json = (await api.anonymous.get("/openapi.json")).json()
    assert yaml.safe_load(served.text) == as_json
    assert operations(as_json) == operations(contract("openapi.json"))


async def test_pages_for_people_load_nothing_from_elsewhere(api: Api) -> None:
    """DOC-11."""
    for path in ("/docs", "/redoc"):
        page = (await api.anonymous.get(path)).text
        assert "/openapi.json" in page
        assert "https://" not in page


async def test_webhooks_are_as_the_document_says(api: Api) -> None:
    """WH-01, WH-11, WH-13, WH-37: real events of two jobs, in both versions."""
    document = (await api.anonymous.get("/openapi.json")).json()
    await _a_job_that_works(api)
    await _a_job_that_fails(api)
    async with api.book.database.begin() as session:
        deliveries = (await session.exec(select(Delivery))).all()
    assert {one.event for one in deliveries} == set(EventName) == set(WEBHOOKS)
    for delivery in deliveries:
        newest, first = document["webhooks"][delivery.event]["post"]["requestBody"]["content"][
            "application/json"
        ]["schema"]["anyOf"]
        for version, shape in ((2, newest), (1, first)):
            _check(document, _body(delivery, version), shape)


async def _a_job_that_works(api: Api) -> None:
    book = api.book
    job = await book.add()
    await book.bring_to(job, Status.RECORDING)
    fence = (await book.read(job)).fence
    async with book.database.begin() as session:
        consent = notices.Consent(
            at=book.now, granted=True, participant_id="prt_1", display_name="Ada"
        )
        await notices.consent_answered(session, job.id, consent, fence=fence, now=book.now)
        seen = notices.CompetingBot(
            at=book.now,
            participant_id="prt_2",
            display_name="Otter",
            bot_name="Otter.ai",
            leaving=False,
        )
        await notices.competing_bot_seen(session, job.id, seen, fence=fence, now=book.now)
    await book.report(job, Event.LEFT, fence)
    done = Settlement(
        exit_reason=ExitReason.CALL_ENDED,
        ended_at=book.now,
        recorded_seconds=90,
        manifest_uri="s3://bucket/recordings/job/manifest.json",
    )
    async with book.database.begin() as session:
        await settle(session, job.id, done, fence=fence, now=book.now)


async def _a_job_that_fails(api: Api) -> None:
    book = api.book
    job = await book.add()
    await book.bring_to(job, Status.ENTERING_LOBBY)
    failed = Settlement(
        exit_reason=ExitReason.ENTRY_DELAY,
        ended_at=book.now,
        failure_code=FailureCode.LOBBY_TIMEOUT,
        failure_detail="Nobody let the bot in.",
    )
    async with book.database.begin() as session:
        fence = (await book.read(job)).fence
        await settle(session, job.id, failed, fence=fence, now=book.now)


def _body(delivery: Delivery, version: int) -> dict[str, Any]:
    envelope = Envelope(
        delivery_id=delivery.id,
        event=delivery.event,
        emitted_at=delivery.emitted_at,
        attempt=1,
        version=version,
        data=delivery.data,
    )
    found: dict[str, Any] = json.loads(body(envelope))
    return found


def _check(document: dict[str, Any], sent: dict[str, Any], shape: dict[str, Any]) -> None:
    """Valid, and neither more nor less than is described."""
    jsonschema.validate(sent, {**shape, "components": document["components"]})
    schemas = document["components"]["schemas"]
    described = schemas[shape["$ref"].rpartition("/")[2]]["properties"]
    assert set(sent) == set(described)
    data = schemas[described["data"]["$ref"].rpartition("/")[2]]["properties"]
    assert set(sent["data"]) == set(data)
