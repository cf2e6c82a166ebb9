"""The documents about this API, for tools and for programs that read (API-48, DOC-06, DOC-22)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import yaml
from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

# Written by `meetbot-server contracts`.
FOLDER: Final = Path(__file__).parents[2] / "contracts"
JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
FILES: Final = {
    "openapi-3.0.json": JSON,
    "meetbot.postman_collection.json": JSON,
    "manifest.schema.json": "application/schema+json",
    "failure-codes.json": JSON,
    "llms.txt": TEXT,
    "llms-full.txt": TEXT,
}

router = APIRouter(include_in_schema=False)


@router.get("/openapi.yaml")
async def openapi_yaml(request: Request) -> Response:
    """The same document as /openapi.json, which FastAPI serves."""
    text = yaml.safe_dump(request.app.openapi(), sort_keys=False, allow_unicode=True)
    return Response(text, media_type="application/yaml")


def _serving(name: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def serve() -> Response:
        return FileResponse(FOLDER / name, media_type=media_type)

    return serve


for _name, _type in FILES.items():
    router.add_api_route(f"/{_name}", _serving(_name, _type))
