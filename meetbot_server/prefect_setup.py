"""Makes a Prefect server ready for meetings: work pool, queues, automation, deployments."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from core.dispatch.queues import QUEUE_PRIORITIES
from core.settings import Settings
from meetbot_server import prefect_automations
from meetbot_server.supervisor import python

ROOT: Final = Path(__file__).parent.parent
# Seconds of importing; on a machine that is busy with meetings they take their time.
DEPLOY_SECONDS: Final = 240


class SetupFailed(Exception):
    """Prefect did not take the work pool or the deployments."""


async def prefect_ready(settings: Settings) -> bool:
    """Whether the Prefect server answers."""
    async with prefect_client(settings) as client:
        try:
            return (await client.get("/health")).is_success
        except httpx.TransportError:
            return False


async def register(settings: Settings, environment: Mapping[str, str]) -> None:
    """Create the work pool, its queues and the automation that ends runs of dead processes, and
    the deployments of prefect.yaml when the file has changed. Again: nothing is made twice.

    Raises:
        SetupFailed: Prefect refused; the message says what.
    """
    mark = settings.data_dir / "prefect" / "deployed"
    wanted = hashlib.sha256((ROOT / "prefect.yaml").read_bytes()).hexdigest()
    async with prefect_client(settings) as client:
        await _make_pool(client, settings)
        await _make_queues(client, settings)
        try:
            await prefect_automations.install(client, prefect_automations.zombies())
        except httpx.HTTPStatusError as error:
            raise SetupFailed(
                f"Prefect refused the automation: {error.response.status_code} "
                f"{error.response.text}"
            ) from error
        there = await client.get(f"/deployments/name/{settings.prefect.deployment}")
        if there.is_success and mark.exists() and mark.read_text() == wanted:
            return
    await _deploy(environment)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(wanted)


async def _make_pool(client: httpx.AsyncClient, settings: Settings) -> None:
    answer = await client.post(
        "/work_pools/", json={"name": settings.prefect.work_pool, "type": "meetbot"}
    )
    if not answer.is_success and answer.status_code != httpx.codes.CONFLICT:
        raise SetupFailed(f"Prefect refused the work pool: {answer.status_code} {answer.text}")


async def _make_queues(client: httpx.AsyncClient, settings: Settings) -> None:
    """The queues by urgency, with their priorities (design.md D11)."""
    pool = f"/work_pools/{settings.prefect.work_pool}/queues"
    for name, priority in QUEUE_PRIORITIES.items():
        answer = await client.post(pool, json={"name": name, "priority": priority})
        if answer.status_code == httpx.codes.CONFLICT:
            answer = await client.patch(f"{pool}/{name}", json={"priority": priority})
        if not answer.is_success:
            raise SetupFailed(f"Prefect refused a queue: {answer.status_code} {answer.text}")


async def _deploy(environment: Mapping[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *python("-m", "prefect", "--no-prompt", "deploy", "--all"),
        cwd=ROOT,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), DEPLOY_SECONDS)
    except TimeoutError:
        process.kill()
        raise SetupFailed(f"`prefect deploy` took longer than {DEPLOY_SECONDS} s") from None
    if process.returncode != 0:
        raise SetupFailed(f"`prefect deploy` failed:\n{output.decode(errors='replace')[-3000:]}")


def prefect_client(settings: Settings) -> httpx.AsyncClient:
    """A plain client of Prefect's API, for what needs no Prefect in the process."""
    auth = settings.prefect.auth
    user, _, password = (auth.get_secret_value() if auth else "").partition(":")
    # Prefect takes the auth string as HTTP basic credentials.
    return httpx.AsyncClient(
        base_url=settings.prefect.api_url, auth=(user, password), timeout=10, trust_env=False
    )
