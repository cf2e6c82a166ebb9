"""The HTTP API. `create_app` is the only place of this process that puts parts together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.sessions import SessionMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import document, errors, output_media
from api.feed import JobFeed
from api.google import COOKIE, LIFE_SECONDS, GoogleLogin, cookie_secret
from api.idempotency import Idempotency
from api.keeping import keeping
from api.metrics import Metrics
from api.middleware import BodyLimit, RequestFrame
from api.request_meter import RequestMeter
from api.routes import (
    admin,
    auth,
    billing,
    calendar_rules,
    calendars,
    cli_auth,
    documents,
    events,
    evidence,
    health,
    ingest,
    integrations,
    invites,
    jobs,
    keys,
    pages,
    recordings,
    socket,
    transcribing,
    transcripts,
    usage,
    verbs,
    webhooks,
)
from api.routes import (
    settings as settings_routes,
)
from api.routes.health import server_version
from api.services import Services
from api.telemetry import Telemetry
from core.billing.customers import Customers
from core.billing.stripe_client import create_payments
from core.calendars.providers import Providers
from core.clock import Clock, SystemClock
from core.database import COMMANDS_CHANNEL, DELIVERIES_CHANNEL, Database
from core.dispatch.base import Dispatcher
from core.dispatch.prefect import PrefectDispatcher
from core.errors import BadInput
from core.mail import Mailer, create_mailer
from core.network.addresses import Resolve, resolve
from core.network.fetching import Fetcher
from core.secrets import SecretBox
from core.settings import Settings
from core.storage.factory import create_storage
from core.storage.opening import Storages

# An upload may hold three times its size in memory.
UPLOADS_AT_ONCE: Final = 2
FETCH_SECONDS: Final = 30.0
DispatcherContext = AbstractAsyncContextManager[Dispatcher]


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    dispatcher: Callable[[Database], DispatcherContext] | None = None,
    resolver: Resolve = resolve,
    mailer: Mailer | None = None,
) -> FastAPI:
    """The application; it opens its resources when it starts.

    Args:
        dispatcher: makes what runs jobs, Prefect when not given.
        mailer: sends mails, what the settings say when not given.

    Raises:
        BadInput: a setting is missing; the message names it.
    """
    if settings.database_url is None:
        raise BadInput("Set MEETBOT_DATABASE_URL to the URL of a PostgreSQL database.")
    url, box = settings.database_url, SecretBox(settings.encryption_keys)
    time = clock or SystemClock()
    storage = create_storage(settings)
    mails = mailer or create_mailer(settings.mail, links_in_log=settings.login.links_in_log)
    google = GoogleLogin(settings)
    metrics = Metrics(log_requests=settings.logs.requests)
    telemetry = Telemetry(settings, server_version())
    fetcher = Fetcher(
        timeout_seconds=FETCH_SECONDS,
        trusted_origins=settings.trusted_origins,
        resolver=resolver,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(telemetry.close)
            database = Database(url, pool_size=10)
            stack.push_async_callback(database.close)
            make = dispatcher or (lambda _: PrefectDispatcher(settings.prefect))
            payments = create_payments(settings.billing)
            services = Services(
                settings=settings,
                clock=time,
                database=database,
                box=box,
                dispatcher=await stack.enter_async_context(make(database)),
                feed=JobFeed(database, time),
                command_feed=JobFeed(database, time, COMMANDS_CHANNEL),
                delivery_feed=JobFeed(database, time, DELIVERIES_CHANNEL),
                resolver=resolver,
                storage=storage,
                storages=Storages(storage, database, box, settings.trusted_origins),
                fetcher=await stack.enter_async_context(fetcher),
                uploads=asyncio.Semaphore(UPLOADS_AT_ONCE),
                mailer=mails,
                google=google,
                payments=payments,
                customers=Customers(
                    database,
                    payments,
                    time,
                    settings.billing.prices,
                    home=settings.identities.home,
                ),
                meter=RequestMeter(database, time, settings.limits.requests),
                metrics=metrics,
                calendars=await stack.enter_async_context(
                    Providers(settings, time, resolver=resolver)
                ),
            )
            stack.push_async_callback(payments.close)
            app.state.services = services
            await stack.enter_async_context(services.feed.running())
            await stack.enter_async_context(services.command_feed.running())
            await stack.enter_async_context(services.delivery_feed.running())
            await stack.enter_async_context(keeping(services))
            await stack.enter_async_context(services.meter.running())
            yield

    # Its pages load nothing from elsewhere, so the documentation works without internet.
    app = FastAPIOffline(
        title="meetbot API",
        summary="Send a bot to a meeting; get every speaker's recording.",
        version="1",
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry=telemetry.config,
        servers=[{"url": settings.api.public_url}],
    )
    for part in (
        jobs,
        events,
        evidence,
        transcripts,
        recordings,
        verbs,
        socket,
        ingest,
        invites,
        calendars,
        calendar_rules,
        usage,
        webhooks,
        billing,
        auth,
        cli_auth,
        keys,
        integrations,
        settings_routes,
        transcribing,
        pages,
        health,
        documents,
        admin,
    ):
        app.include_router(part.router)
    app.include_router(calendars.open_router)
    errors.install(app)
    app.add_middleware(Idempotency)
    app.add_middleware(BodyLimit, larger=[(output_media.ROUTE, output_media.MOST_BODY_BYTES)])
    app.add_middleware(
        SessionMiddleware,
        secret_key=cookie_secret(settings),
        session_cookie=COOKIE,
        max_age=LIFE_SECONDS,
        path="/auth/google",
        same_site="lax",
        https_only=settings.api.login_url.startswith("https://"),
    )
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.api.trusted_proxies))
    # Added last, it is the outermost.
    app.add_middleware(RequestFrame, served=metrics.served)
    document.install(app)
    return app
