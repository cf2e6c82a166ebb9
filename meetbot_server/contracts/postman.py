"""A Postman collection (v2.1) out of the OpenAPI document (DOC-12, DOC-13)."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any, Final

Json = dict[str, Any]

SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
# Requests keep their ids over regenerations, so that importing again replaces them.
NAMESPACE: Final = uuid.UUID("5b1f6f43-3d4e-4a36-8f2a-6a0a0a1c0b7e")
PARAMETER: Final = re.compile(r"\{(\w+)\}")
# Credentials that are no API key.
VARIABLES: Final = {"ingest": "botToken", "intake": "intakeToken", "admin": "adminToken"}
# Tags whose folders lie inside others (CON-45).
INSIDE: Final = {"usage": "account", "keys": "account", "cli-auth": "admin", "ingest": "admin"}
DEEPEST: Final = 6


def collection(document: Json) -> Json:
    """A folder for each tag, in the document's order; a request for each operation."""
    folders: dict[str, list[Json]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            folders[operation["tags"][0]].append(_item(document, path, method, operation))
    return {
        "info": {
            "name": document["info"]["title"],
            "_postman_id": str(uuid.uuid5(NAMESPACE, "collection")),
            "description": "{summary}\n\n{description}".format(**document["info"]),
            "schema": SCHEMA,
        },
        "auth": _bearer("bearerToken"),
        "variable": [
            {"key": "baseUrl", "value": document["servers"][0]["url"]},
            *({"key": name, "value": ""} for name in ("bearerToken", *VARIABLES.values())),
        ],
        "item": _nested(document["tags"], folders),
    }


def _nested(tags: list[Json], requests: dict[str, list[Json]]) -> list[Json]:
    folders = {
        tag["name"]: {
            "name": tag["name"],
            "description": tag["description"],
            "item": requests[tag["name"]],
        }
        for tag in tags
    }
    outer: list[Json] = []
    for name, folder in folders.items():
        parent = folders.get(INSIDE.get(name, ""))
        (outer if parent is None else parent["item"]).append(folder)
    return outer


def _item(document: Json, path: str, method: str, operation: Json) -> Json:
    name = operation["operationId"]
    parameters = operation.get("parameters", [])
    request: Json = {
        "method": method.upper(),
        "description": operation.get("description", ""),
        "header": [],
        "url": _url(path, parameters),
    }
    schemes = [scheme for entry in operation.get("security", []) for scheme in entry]
    if not schemes:
        request["auth"] = {"type": "noauth"}
    elif schemes[0] in VARIABLES:
        request["auth"] = _bearer(VARIABLES[schemes[0]])
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is not None:
        example = _example(document, content["schema"])
        request["header"].append({"key": "content-type", "value": "application/json"})
        request["body"] = {
            "mode": "raw",
            "raw": json.dumps(example, indent=2, ensure_ascii=False),
            "options": {"raw": {"language": "json"}},
        }
    return {
        "id": str(uuid.uuid5(NAMESPACE, name)),
        "name": name,
        "request": request,
        "response": [],
    }


def _url(path: str, parameters: list[Json]) -> Json:
    plain = PARAMETER.sub(r":\1", path)
    return {
        "raw": f"{{{{baseUrl}}}}{plain}",
        "host": ["{{baseUrl}}"],
        "path": plain.strip("/").split("/"),
        "query": [
            {
                "key": one["name"],
                "value": "",
                "description": one.get("description", ""),
                # Sent when somebody ticks it.
                "disabled": True,
            }
            for one in parameters
            if one["in"] == "query"
        ],
        "variable": [
            {"key": one["name"], "value": "", "description": one.get("description", "")}
            for one in parameters
            if one["in"] == "path"
        ],
    }


def _bearer(variable: str) -> Json:
    token = {"key": "token", "value": f"{{{{{variable}}}}}", "type": "string"}
    return {"type": "bearer", "bearer": [token]}


def _example(document: Json, schema: Json, depth: int = 0) -> Any:
    """Something of the shape: the schema's own example, or its required fields."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
    for keyword in ("examples", "enum"):
        if schema.get(keyword):
            return schema[keyword][0]
    if "const" in schema or "default" in schema:
        return schema.get("const", schema.get("default"))
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            return _example(document, schema[keyword][0], depth + 1)
    return _plain(document, schema, depth)


def _plain(document: Json, schema: Json, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", [])
        fields = schema.get("properties", {})
        if depth > DEEPEST:
            return {}
        return {name: _example(document, fields[name], depth + 1) for name in required}
    if kind == "array":
        return []
    return {"integer": 1, "number": 1, "boolean": False, "string": ""}.get(str(kind))
