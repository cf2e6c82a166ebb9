"""Serves the time-limited links of local storage: a small web application of its own process.

It opens only keys below its root, without following links, and only with a valid link.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Final

from fastapi import FastAPI, Header, HTTPException, Query
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from core.errors import StorageRefused
from core.storage.keys import checked_key, link_holds
from core.storage.local import CHUNK, open_inside

RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
MEDIA_TYPES: Final = {
    # Documents of meeting pages are read, not opened.
    ".html": "text/plain",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".mkv": "video/x-matroska",
    ".ogg": "audio/ogg",
    ".png": "image/png",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".webm": "video/webm",
}


@dataclass(frozen=True)
class Slice:
    """The bytes to send, `first` to `last`, both included."""

    first: int
    last: int
    partial: bool


def create_files_app(root: Path, secret: SecretStr) -> FastAPI:
    """The application for the objects of `LocalStorage(root, link_secret=secret)`."""
    app = FastAPI(title="meetbot files", docs_url=None, redoc_url=None, openapi_url=None)
    objects = root.absolute() / "objects"

    @app.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> Response:
        return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.api_route("/files/{key:path}", methods=["GET", "HEAD"])
    def read(
        request: Request,
        key: str,
        expires: Annotated[int, Query()],
        signature: Annotated[str, Query()],
        range_: Annotated[str | None, Header(alias="range")] = None,
    ) -> Response:
        if not link_holds(key, expires, signature, secret, now=int(time.time())):
            raise HTTPException(403, "This link is not valid, or its time is over.")
        source = _open(objects, key)
        size = source.seek(0, 2)
        wanted = _slice(range_, size)
        headers = {
            "accept-ranges": "bytes",
            "cache-control": "private, no-store",
            "content-length": str(wanted.last - wanted.first + 1),
            # What was recorded comes from other people; a browser must not run any of it.
            "content-security-policy": "sandbox",
            "x-content-type-options": "nosniff",
        }
        if wanted.partial:
            headers["content-range"] = f"bytes {wanted.first}-{wanted.last}/{size}"
        media_type = MEDIA_TYPES.get(Path(key).suffix, "application/octet-stream")
        status = 206 if wanted.partial else 200
        if request.method == "HEAD":
            source.close()
            return Response(status_code=status, headers=headers, media_type=media_type)
        return StreamingResponse(_read(source, wanted), status, headers, media_type)

    return app


def _open(objects: Path, key: str) -> IO[bytes]:
    try:
        return open_inside(objects, objects / checked_key(key))
    except (OSError, StorageRefused):
        raise HTTPException(404, "There is no such file.") from None


def _slice(header: str | None, size: int) -> Slice:
    """The one range asked for; several, or a malformed one, count as none (RFC 9110, 14.2)."""
    match = RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group(0) == "bytes=-":
        return Slice(0, size - 1, partial=False)
    first, last = match[1], match[2]
    if first == "":
        wanted = Slice(max(0, size - int(last)), size - 1, partial=True)
    else:
        wanted = Slice(int(first), min(int(last or size), size - 1), partial=True)
    if wanted.first > wanted.last or wanted.first >= size:
        raise HTTPException(
            416, "The range lies outside the file.", headers={"content-range": f"bytes */{size}"}
        )
    return wanted


def _read(source: IO[bytes], wanted: Slice) -> Iterator[bytes]:
    with source:
        source.seek(wanted.first)
        left = wanted.last - wanted.first + 1
        while left > 0:
            chunk = source.read(min(CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk
