"""The whole product, running once for all end-to-end tests, with switches for what may fail.

Settings reach forked meeting processes by environment, so faults are made behind the settings:
the browser and the model are links that a test points elsewhere, and storage, the sandbox and
the customer's receiver stand behind gates that a test shuts.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil
from pydantic import SecretStr

from bot.browser.launch import find_chromium
from core.clock import SystemClock
from core.database import Database
from core.errors import BrowserFailed
from core.settings import Settings, StorageSettings
from core.storage.s3 import Bucket, S3Storage
from meetbot_server import teams
from meetbot_server.demo.receiver import WebhookReceiver
from meetbot_server.demo.run import api_client, demo_settings
from meetbot_server.stack import Stack
from sandbox.client import SandboxClient
from tests.support.calendars.google import running_google
from tests.support.calendars.server import CalendarServer
from tests.support.calendars.team import calendar_settings
from tests.support.canaries import settings_secrets, with_canaries
from tests.support.gate import Gate
from tests.support.mailbox import Mailbox, running_mailbox
from tests.support.s3_server import running_s3_server
from tests.support.speech import tiny_model

BUCKET: Final = "meetbot-e2e"
END_SECONDS: Final = 15
# Metadata of jobs whose bots speak to the API over HTTP.
OVER_HTTP: Final = {"line": "http"}


@dataclass(frozen=True)
class RunningStack:
    """What tests reach the product by: as its customer, its operator, its bucket's owner."""

    settings: Settings
    stack: Stack
    database: Database
    # Straight to the bucket, past the gate.
    bucket: S3Storage
    team: teams.NewTeam
    api: httpx.AsyncClient
    sandbox: SandboxClient
    prefect: httpx.AsyncClient
    receiver: WebhookReceiver
    # Doors to storage, to the sandbox's pages and to the receiver.
    storage_gate: Gate
    sandbox_gate: Gate
    receiver_gate: Gate
    mailbox: Mailbox
    # Somebody's Google calendar.
    google: CalendarServer
    links: Path

    @property
    def hook(self) -> str:
        """Where the customer wants webhooks."""
        return f"{self.receiver_gate.origin}/hook"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log, parameter or artifact may show."""
        team = (self.team.test_key, self.team.live_key, self.team.webhook_secret)
        known = settings_secrets(self.settings).values()
        return (*known, *(secret.get_secret_value() for secret in team))

    @contextmanager
    def broken_browser(self) -> Iterator[None]:
        """The browser that is configured ends at once."""
        script = self.links / "broken-chromium"
        script.write_text("#!/bin/sh\necho 'no display for you' >&2\nexit 1\n")
        script.chmod(0o755)
        with _pointing(self.links / "chromium", script):
            yield

    @contextmanager
    def missing_model(self) -> Iterator[None]:
        """The folder of the speech model is gone."""
        with _pointing(self.links / "model", self.links / "nothing-here"):
            yield

    def worker(self) -> psutil.Process:
        """The worker; meeting processes and their browsers are below it."""
        pid = self.stack.supervisor.pid("worker")
        assert pid is not None, "the worker is down"
        return psutil.Process(pid)


@asynccontextmanager
async def running_stack() -> AsyncIterator[RunningStack]:
    """Start everything, hand it over, stop it, and make sure that no process is left."""
    # Short, because PostgreSQL's socket lies in it.
    root = Path(tempfile.mkdtemp(prefix="mbe2e-"))
    async with AsyncExitStack() as exits:
        exits.callback(shutil.rmtree, root, ignore_errors=True)
        yield await _start(root, exits)
        started = _below(root)
        await exits.aclose()
    _, alive = psutil.wait_procs(started, timeout=END_SECONDS)
    lines = [" ".join(process.cmdline())[:200] for process in alive]
    assert not alive, f"these outlived the stack: {lines}"


def _below(root: Path) -> list[psutil.Process]:
    """The stack's processes: those that work in `root`, and all below them.

    Other tests of the session start processes as well, such as a fork server of their own.
    """
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if str(root) in f"{child.cmdline()} {child.environ()}":
                found += [child, *child.children(recursive=True)]
    return found


async def _start(root: Path, exits: AsyncExitStack) -> RunningStack:
    clock = SystemClock()
    links = root / "links"
    links.mkdir()
    (links / "chromium").symlink_to(find_chromium(None, _bundled()))
    (links / "model").symlink_to(tiny_model())
    s3 = exits.enter_context(running_s3_server())
    receiver = await exits.enter_async_context(WebhookReceiver())
    storage_gate = _gate(exits, s3.endpoint)
    receiver_gate = _gate(exits, receiver.origin)
    base = with_canaries(
        demo_settings(Settings(data_dir=root), receiver_gate.origin, storage_gate.origin)
    )
    assert base.mail.password is not None
    mailbox = exits.enter_context(running_mailbox("e2e", base.mail.password.get_secret_value()))
    sandbox_gate = _gate(exits, base.sandbox.origin)
    google = await exits.enter_async_context(running_google(clock))
    bucket = s3.bucket(BUCKET)
    settings = base.model_copy(
        update={
            "sandbox": base.sandbox.model_copy(update={"origin": sandbox_gate.origin}),
            "storage": _storage(base.storage, bucket, storage_gate.origin),
            "bot": base.bot.model_copy(
                update={
                    "chromium": links / "chromium",
                    "navigation_timeout_seconds": 15,
                    "http_metadata": "line=http",
                }
            ),
            "transcription": base.transcription.model_copy(update={"model": str(links / "model")}),
            "webhooks": base.webhooks.model_copy(update={"first_retry_seconds": 1}),
            "mail": base.mail.model_copy(
                update={
                    "host": "127.0.0.1",
                    "port": mailbox.port,
                    "user": "e2e",
                    "security": "none",
                }
            ),
            # Stripe is away for good; nobody is refused for it.
            "billing": base.billing.model_copy(
                update={"enabled": False, "stripe_api": "http://127.0.0.1:9"}
            ),
            "calendars": calendar_settings(google),
            "login": base.login.model_copy(update={"google_client_id": "e2e"}),
        }
    )
    stack = await exits.enter_async_context(Stack(settings, clock))
    settings = stack.settings
    team = await teams.create(settings, clock, "End to End")
    receiver.secret = team.webhook_secret
    assert settings.database_url is not None
    assert settings.sandbox.admin_token is not None
    assert settings.prefect.auth is not None
    database = Database(settings.database_url)
    exits.push_async_callback(database.close)
    return RunningStack(
        settings=settings,
        stack=stack,
        database=database,
        bucket=S3Storage(bucket),
        team=team,
        api=await exits.enter_async_context(api_client(settings, team)),
        sandbox=await exits.enter_async_context(
            # The host's door is open when the guests' gate is shut.
            SandboxClient(base.sandbox.origin, settings.sandbox.admin_token)
        ),
        prefect=await exits.enter_async_context(
            _prefect_client(settings.prefect.api_url, settings.prefect.auth)
        ),
        receiver=receiver,
        storage_gate=storage_gate,
        sandbox_gate=sandbox_gate,
        receiver_gate=receiver_gate,
        mailbox=mailbox,
        google=google,
        links=links,
    )


def _bundled() -> Path | None:
    """Playwright's own Chromium, where the machine has none."""
    try:
        find_chromium(None)
    except BrowserFailed:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            return Path(playwright.chromium.executable_path)
    return None


def _gate(exits: AsyncExitStack, target: str) -> Gate:
    gate = Gate(target)
    gate.start()
    exits.callback(gate.stop)
    return gate


def _storage(base: StorageSettings, bucket: Bucket, endpoint: str) -> StorageSettings:
    return base.model_copy(
        update={
            "kind": "s3",
            "managed": "everyone",
            "bucket": bucket.name,
            "endpoint": endpoint,
            "region": bucket.region,
            "force_path_style": True,
            # Six retries then take six seconds.
            "first_retry_seconds": 0.1,
        }
    )


def _prefect_client(url: str, auth: SecretStr) -> httpx.AsyncClient:
    user, _, password = auth.get_secret_value().partition(":")
    return httpx.AsyncClient(base_url=url, auth=(user, password), timeout=15, trust_env=False)


@contextmanager
def _pointing(link: Path, target: Path) -> Iterator[None]:
    """A link that leads elsewhere for the block."""
    usual = link.readlink()
    _turn(link, target)
    try:
        yield
    finally:
        _turn(link, usual)


def _turn(link: Path, target: Path) -> None:
    fresh = link.with_name(f".{link.name}.new")
    fresh.symlink_to(target)
    os.replace(fresh, link)  # noqa: PTH105 - one step: nobody finds the link missing
