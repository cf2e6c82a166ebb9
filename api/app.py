"""The HTTP API. `create_app` is the only place of this process that puts parts together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline

from api import errors
from api.feed import JobFeed
from api.middleware import BodyLimit, RequestFrame
from api.routes import events, health, jobs
from api.routes.health import server_version
from api.services import Services
from core.clock import Clock, SystemClock
from core.database import Database
from core.dispatch.base import Dispatcher
from core.dispatch.prefect import PrefectDispatcher
from core.errors import BadInput
from core.network.addresses import Resolve, resolve
from core.secrets import SecretBox
from core.settings import Settings

DispatcherContext = AbstractAsyncContextManager[Dispatcher]


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    dispatcher: Callable[[Database], DispatcherContext] | None = None,
    resolver: Resolve = resolve,
) -> FastAPI:
    """The application; it opens its resources when it starts.

    Args:
        dispatcher: makes what runs jobs, Prefect when not given.

    Raises:
        BadInput: a setting is missing; the message names it.
    """
    if settings.database_url is None:
        raise BadInput("Set MEETBOT_DATABASE_URL to the URL of a PostgreSQL database.")
    url, box = settings.database_url, SecretBox(settings.encryption_keys)
    time = clock or SystemClock()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            database = Database(url, pool_size=10)
            stack.push_async_callback(database.close)
            make = dispatcher or (lambda _: PrefectDispatcher(settings.prefect))
            services = Services(
                settings=settings,
                clock=time,
                database=database,
                box=box,
                dispatcher=await stack.enter_async_context(make(database)),
                feed=JobFeed(database, time),
                resolver=resolver,
            )
            app.state.services = services
            await stack.enter_async_context(services.feed.running())
            yield

    # Its pages load nothing from elsewhere, so the documentation works without internet.
    app = FastAPIOffline(
        title="meetbot API",
        summary="Send a bot to a meeting; get every speaker's recording.",
        version="1",
        lifespan=lifespan,
        redirect_slashes=False,
        servers=[{"url": settings.api.public_url}],
    )
    for router in (jobs.router, events.router, health.router):
        app.include_router(router)
    errors.install(app)
    app.add_middleware(BodyLimit)
    # Added last, it is the outermost.
    app.add_middleware(RequestFrame)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, without the framework's own 422, which is never sent (CV-10)."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=server_version(),
            summary=app.summary,
            routes=app.routes,
            servers=app.servers,
        )
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            document.get("components", {}).get("schemas", {}).pop(unused, None)
        app.openapi_schema = document
    return app.openapi_schema
