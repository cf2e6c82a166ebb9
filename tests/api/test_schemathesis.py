"""The running API against its own document: whatever is asked, it answers as described.

Schemathesis makes up requests from the document, good ones and bad ones, one by one and in
sequences; `schemathesis.toml` says which checks a requirement contradicts.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.app import create_app
from core.clock import SystemClock
from core.database import Database
from core.jobs.bot_tokens import mint_bot_token
from core.jobs.lifecycle import Status
from core.secrets import SecretBox
from core.settings import LimitSettings, LoginSettings, Settings
from tests.api.conftest import LoggingDispatcher, key_of, public
from tests.api.credentials import ADMIN_TOKEN, INTAKE_TOKEN, log_in
from tests.support.api_server import running_api
from tests.support.jobs import JobBook
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, running_provider

pytestmark = pytest.mark.integration
CONFIG = Path(__file__).with_name("schemathesis.toml")
# Ends the login that the others use.
LAST = "logOut"
MANY = 10**6


@dataclass(frozen=True)
class Server:
    origin: str
    credentials: Mapping[str, str]


@pytest.fixture
async def server(
    settings: Settings, database: Database, box: SecretBox, encryption_key: SecretStr
) -> AsyncIterator[Server]:
    """The API behind a socket, with a credential of every scheme."""
    book = await JobBook.open(database, box, SystemClock())  # type: ignore[arg-type]
    job = await book.add()
    fence = await book.bring_to(job, Status.RECORDING)
    person = await log_in(book, "ada@example.com")
    async with running_provider() as provider:
        changed = settings.model_copy(
            update={
                # How much may be asked is tried elsewhere.
                "limits": LimitSettings.model_validate(
                    dict.fromkeys(LimitSettings.model_fields, MANY)
                ),
                "login": LoginSettings(
                    google_client_id=CLIENT_ID,
                    google_client_secret=SecretStr(CLIENT_SECRET),
                    google_issuer=provider.origin,
                ),
            }
        )
        app = create_app(changed, dispatcher=lambda _: LoggingDispatcher(), resolver=public)
        async with app.router.lifespan_context(app), running_api(app) as origin:
            yield Server(
                origin,
                {
                    "API_KEY": await key_of(book, livemode=True),
                    "SESSION": person.token.get_secret_value(),
                    "CSRF_TOKEN": person.headers["x-csrf-token"],
                    "BOT_TOKEN": mint_bot_token([encryption_key], job.id, fence).get_secret_value(),
                    "INTAKE_TOKEN": INTAKE_TOKEN,
                    "ADMIN_TOKEN": ADMIN_TOKEN,
                },
            )


@pytest.mark.timeout(600)
async def test_the_api_keeps_to_its_document(server: Server) -> None:
    """CV-09, CV-10, CV-17, CV-18, DOC-07."""
    await tried(server, "--exclude-operation-id", LAST, "-n", "10")
    # Its links lead to operations that are not among these.
    alone = "examples,coverage,fuzzing"
    await tried(server, "--include-operation-id", LAST, "-n", "10", "--phases", alone)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_the_api_keeps_to_its_document_for_long(server: Server) -> None:
    await tried(server, "--exclude-operation-id", LAST, "-n", "200")


async def tried(server: Server, *options: str) -> None:
    """Run it as its users do; what it found is in the failure's message."""
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
        *("run", f"{server.origin}/openapi.json", "--url", server.origin, "--no-color"),
        *options,
    )
    path = os.environ["PATH"]  # noqa: TID251 - of the child
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": path, **server.credentials},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()[-20_000:]
