"""The OpenAPI document: what FastAPI knows of the routes, and what it does not (DOC-06, DOC-07)."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api import links
from api.routes.health import server_version
from api.schemas.webhooks import WEBHOOKS

REFERENCES: Final = "#/components/schemas/{model}"
# In the order in which readers need them.
TAGS: Final = {
    "bots": "Send bots to meetings, follow them, tell them what to do.",
    "recordings": "What was recorded: manifests, media, transcripts.",
    "webhooks": "Deliveries of events, and the secret that signs them.",
    "calendar": "Meetings that calendars and invitations bring.",
    "usage": "What was recorded and what it costs.",
    "account": "The team, its settings, billing and logins.",
    "keys": "API keys.",
    "cli-auth": "Logging a command line in.",
    "ingest": "Internal: what bots tell, and are told.",
    "admin": "Internal: for the operator.",
}
PROPER_NAMES: Final = {
    name.lower(): name for name in ("CLI", "Google", "Microsoft", "Stripe", "Webex", "Zoom")
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request under the same key is carried out once in 24 hours, and "
    "answered the same.",
    "schema": {"type": "string", "pattern": "^[ -~]{1,255}$"},
}
HEADERS: Final = {
    "x-meetbot-signature": "`sha256=` and the HMAC-SHA256 of the raw body, in hex; several, "
    "separated by commas, while the secret is being rotated.",
    "x-meetbot-webhook-version": "The version of the body: 2, or 1.",
    "x-meetbot-event": "The event's name.",
    "x-meetbot-delivery": "The delivery's id, the same at every attempt.",
}
DESCRIPTION: Final = """\
Authenticate with an API key: `Authorization: Bearer mb_live_…`, or `mb_test_…` for the sandbox.
Every answer that is not a success has the shape of `ErrorOut`, and every answer an `x-request-id`.
Found a fault? Open an issue and name the operation id.
"""


def install(app: FastAPI) -> None:
    """Have `app` serve this document instead of FastAPI's own."""
    app.openapi = lambda: _built(app)  # type: ignore[method-assign]


def _built(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = build(app)
    return app.openapi_schema


def build(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1.0 of all routes, and of the webhooks."""
    document = get_openapi(
        title=app.title,
        version=server_version(),
        openapi_version="3.1.0",
        summary=app.summary,
        description=DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        routes=app.routes,
        servers=app.servers,
    )
    for path in document["paths"].values():
        for method, operation in path.items():
            # The framework's own, which is never sent (CV-10).
            operation["responses"].pop("422", None)
            operation["summary"] = _title(operation["operationId"])
            _add_what_all_changes_share(method, operation)
            for status, answer in operation["responses"].items():
                _add_headers(status, answer)
                onward = links.of(operation["operationId"])
                if onward and status.startswith("2"):
                    answer["links"] = onward
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["webhooks"] = _webhooks(schemas)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    used = {
        tag
        for path in document["paths"].values()
        for op in path.values()
        for tag in op.get("tags", ())
    }
    document["tags"] = [
        {"name": name, "description": text} for name, text in TAGS.items() if name in used
    ]
    return document


def _title(operation_id: str) -> str:
    """`createJob` is "Create job": functions are called "create" in several modules."""
    first, *others = re.split(r"(?<=[a-z])(?=[A-Z])", operation_id)
    words = [first.capitalize(), *map(str.lower, others)]
    return " ".join(PROPER_NAMES.get(word, word) for word in words)


def _add_what_all_changes_share(method: str, operation: dict[str, Any]) -> None:
    """What middleware and dependencies do, where routes cannot say it (API-63, AU-13)."""
    schemes = {name for one in operation.get("security", ()) for name in one}
    answers = operation["responses"]
    if method != "get" and "session" in schemes:
        answers.setdefault("403", _error("The proof that this is meant is missing."))
    if method == "post" and schemes & {"key", "session"}:
        operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
        answers.setdefault("400", _error("The request is not valid."))
        answers.setdefault("409", _error("Conflict with what there is."))


def _error(description: str) -> dict[str, Any]:
    reference = {"$ref": REFERENCES.format(model="ErrorOut")}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _add_headers(status: str, answer: dict[str, Any]) -> None:
    headers = answer.setdefault("headers", {})
    headers["x-request-id"] = {"schema": {"type": "string"}, "description": "Names this request."}
    if status == "429":
        headers["Retry-After"] = {
            "schema": {"type": "integer", "minimum": 1},
            "description": "Seconds to wait.",
        }


def _webhooks(schemas: dict[str, Any]) -> dict[str, Any]:
    models = [model for _, *both in WEBHOOKS.values() for model in both]
    references, defined = models_json_schema(
        [(model, "serialization") for model in models], ref_template=REFERENCES
    )
    schemas.update(defined["$defs"])
    return {
        event.value: {
            "post": {
                "operationId": _camel(event.value),
                "summary": summary,
                "tags": ["webhooks"],
                "parameters": [
                    {
                        "name": name,
                        "in": "header",
                        "required": True,
                        "description": text,
                        "schema": {"type": "string"},
                    }
                    for name, text in HEADERS.items()
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "anyOf": [references[model, "serialization"] for model in both]
                            }
                        }
                    },
                },
                "responses": {
                    "2XX": {"description": "Delivered. Anything else is tried again."},
                    "410": {"description": "Never send this again."},
                },
            }
        }
        for event, (summary, *both) in WEBHOOKS.items()
    }


def _camel(event: str) -> str:
    """`job.status_changed` is `onJobStatusChanged`."""
    return "on" + "".join(part.title() for part in event.replace(".", "_").split("_"))
