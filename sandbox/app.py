"""The sandbox's own server: pages, rooms, signalling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from core.clock import Clock, SystemClock
from core.errors import (
    BadInput,
    InvalidState,
    MeetbotError,
    NotFound,
    RateLimited,
    Unauthorized,
)
from core.settings import SandboxSettings
from sandbox.rooms import Rooms
from sandbox.routes import PAGE, router

# As strict as the pages of real meeting clients, so that a bot meets the same obstacles here.
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
STATUS: Final[dict[type[MeetbotError], int]] = {
    BadInput: 422,
    Unauthorized: 401,
    NotFound: 404,
    InvalidState: 409,
    RateLimited: 429,
}


def create_app(
    settings: SandboxSettings, cache: Path, clock: Clock | None = None, *, warm_up: bool = True
) -> FastAPI:
    """The application. `cache`: the folder of encoded cameras; `warm_up`: encode them at start.

    Raises:
        BadInput: there is no admin token.
    """
    if settings.admin_token is None:
        raise BadInput("The sandbox needs an admin token: set MEETBOT_SANDBOX__ADMIN_TOKEN.")
    rooms = Rooms(clock or SystemClock(), cache, settings.max_rooms)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        work = [asyncio.create_task(rooms.run())]
        if warm_up:
            work.append(asyncio.create_task(rooms.warm_up()))
        try:
            yield
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await rooms.close()

    app = FastAPI(title="Sandbox meetings", lifespan=lifespan, openapi_url=None)
    app.state.rooms = rooms
    app.state.settings = settings
    app.middleware("http")(_harden)
    app.add_exception_handler(MeetbotError, _refuse)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.include_router(router)
    return app


async def _harden(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    """`{"error": {"code", "message"}}`, as the product's API answers."""
    if not isinstance(error, MeetbotError):
        raise error
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    headers: dict[str, str] = {}
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after_seconds)
    body = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(body, status, headers=headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    issues = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{'.'.join(map(str, i['loc'][1:])) or 'body'}: {i['msg']}" for i in issues)
    return JSONResponse({"error": {"code": "invalid_input", "message": said}}, 422)
