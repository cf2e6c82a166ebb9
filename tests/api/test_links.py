"""Links of the document lead somewhere, with something that is there (DOC-07, DOC-22)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api import links
from meetbot_server.contracts.files import FOLDER

DOCUMENTS = ["openapi.json", "openapi-3.0.json"]


def contract(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["operationId"]: one for path in document["paths"].values() for one in path.values()}


def linked(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Who links, the answer that does, and the link."""
    for name, operation in operations(document).items():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                yield name, answer, link


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_is_there_and_leads_to_an_operation_that_takes_it(name: str) -> None:
    document = contract(name)
    known = operations(document)
    assert {source for source, _, _ in linked(document)} == set(links.LINKS)
    for source, _, link in linked(document):
        (parameter,) = link["parameters"]
        taken = {one["name"] for one in known[link["operationId"]]["parameters"]}
        assert parameter in taken, (source, link)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_takes_what_the_answer_or_the_request_has(name: str) -> None:
    document = contract(name)
    known = operations(document)
    for source, answer, link in linked(document):
        (value,) = link["parameters"].values()
        where, _, field = value.rpartition("/")
        if where:
            assert where in {"$response.body#", "$response.body#/data/0"}
            shape = resolved(document, answer["content"]["application/json"]["schema"])
            if where.endswith("/data/0"):
                shape = resolved(document, shape["properties"]["data"]["items"])
            assert field in shape["properties"], (source, link)
        else:
            asked = {one["name"] for one in known[source]["parameters"] if one["in"] == "path"}
            assert value.removeprefix("$request.path.") in asked, (source, link)


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def test_shapes_have_names_that_generators_can_tell_apart() -> None:
    """DOC-08: two of one name get their modules' names in front, which clients cut off again."""
    schemas = contract("openapi.json")["components"]["schemas"]
    assert [name for name in schemas if "__" in name] == []
