"""Figures of the whole product: how soon a bot is in the room, how soon it is done, what one more
bot weighs. Measured from outside, over the HTTP API and the webhook."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx

from bench.attendance import guest
from bench.figures import Figure, at_most
from bench.hour import deliver_an_hour
from bench.process_tree import usage
from bench.rooms import Sandbox
from bot.browser.launch import find_chromium
from core.clock import SystemClock
from core.settings import Settings
from meetbot_server import teams
from meetbot_server.demo.receiver import WebhookReceiver
from meetbot_server.demo.run import api_client
from meetbot_server.stack import Stack
from meetbot_server.supervisor import python
from sandbox.client import SandboxClient

JOINS = 5
TALK_SECONDS = 4.0
POLL_SECONDS = 0.05
END_SECONDS = 60.0


class Customer:
    """Creates jobs and follows them, as a customer would."""

    def __init__(self, api: httpx.AsyncClient, hook: str) -> None:
        self._api = api
        self._hook = hook

    async def dispatch(self, url: str, name: str, video: str = "tab") -> str:
        answer = await self._api.post(
            "/api/v1/jobs",
            json={
                "meetingUrl": url,
                "displayName": name,
                "webhooks": {"onFinalize": self._hook},
                "recording": {"video": video},
            },
        )
        answer.raise_for_status()
        return str(answer.json()["id"])

    async def until(self, job_id: str, statuses: set[str], seconds: float = END_SECONDS) -> None:
        async with asyncio.timeout(seconds):
            while (await self.job(job_id))["status"] not in statuses:
                await asyncio.sleep(POLL_SECONDS)

    async def job(self, job_id: str) -> dict[str, Any]:
        answer = await self._api.get(f"/api/v1/jobs/{job_id}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def leave(self, job_id: str) -> None:
        (await self._api.post(f"/api/v1/jobs/{job_id}/leave-call")).raise_for_status()


async def measure(settings: Settings, say: Callable[[str], None]) -> list[Figure]:
    """Start the stack once and measure everything that needs it."""
    async with WebhookReceiver() as receiver:
        trusting = settings.model_copy(
            update={"trusted_origins": (*settings.trusted_origins, receiver.origin)}
        )
        async with Stack(trusting, SystemClock(), say) as stack:
            token = stack.settings.sandbox.admin_token
            if token is None:
                raise ValueError("the sandbox has no admin token")
            team = await teams.create(stack.settings, SystemClock(), "Bench")
            receiver.secret = team.webhook_secret
            async with (
                SandboxClient(stack.settings.sandbox.origin, token) as client,
                api_client(stack.settings, team) as api,
            ):
                sandbox, customer = Sandbox(client), Customer(api, receiver.url)
                figures = await _joins(stack.settings, sandbox, customer, receiver, say)
                say("memory of one more bot")
                figures += await _memory(stack, sandbox, customer)
                say("an hour's recording")
                figures.append(await deliver_an_hour(stack.settings, api, receiver))
                return figures


async def _joins(
    settings: Settings,
    sandbox: Sandbox,
    customer: Customer,
    receiver: WebhookReceiver,
    say: Callable[[str], None],
) -> list[Figure]:
    """From POST to in the room, beside a bare script; and from leave to `job.finalized`."""
    chromium = str(find_chromium(settings.bot.chromium))
    joined: list[float] = []
    scripted: list[float] = []
    finished: list[float] = []
    for number in range(JOINS):
        say(f"join {number + 1} of {JOINS}")
        room = await sandbox.room(video_toggle=True)
        began = time.monotonic()
        job_id = await customer.dispatch(room.guest_url, "bot")
        await sandbox.until_inside(room.room_id, "bot")
        joined.append(time.monotonic() - began)
        await customer.until(job_id, {"recording"})
        await asyncio.sleep(TALK_SECONDS)
        left = time.monotonic()
        await customer.leave(job_id)
        await finalized(receiver, job_id)
        finished.append(time.monotonic() - left)
        began = time.monotonic()
        script = python(
            *("-m", "bench.attendee", room.guest_url, "script", "1280", "720", chromium)
        )
        async with guest(settings, script):
            await sandbox.until_inside(room.room_id, "script")
            scripted.append(time.monotonic() - began)
        await sandbox.client.delete(room.room_id)
    return [
        at_most(
            *("POST /jobs to in the room", joined, "s", 3),
            baseline="bare Playwright script",
            baseline_samples=scripted,
        ),
        at_most("leave to job.finalized, short recording", finished, "s", 5),
    ]


async def finalized(receiver: WebhookReceiver, job_id: str, seconds: float = END_SECONDS) -> None:
    """Wait for the webhook that says that a job is done.

    Raises:
        TimeoutError: it did not come.
    """
    async with asyncio.timeout(seconds):
        while not any(
            seen.event == "job.finalized" and seen.body["data"]["jobId"] == job_id
            for seen in receiver.received
        ):
            await asyncio.sleep(POLL_SECONDS / 5)


async def _memory(stack: Stack, sandbox: Sandbox, customer: Customer) -> list[Figure]:
    """PSS below the worker with one bot and with two, in steady state."""
    worker = stack.supervisor.pid("worker")
    if worker is None:
        raise RuntimeError("the worker is down")
    figures: list[Figure] = []
    for video, what in (("off", "audio only"), ("tab", "tab video")):
        readings = await _two_bots(worker, sandbox, customer, video)
        figures.append(
            at_most(
                *(f"PSS of one more bot, {what}", [readings[1] - readings[0]], "MiB", 450),
                baseline="worker with one bot",
                baseline_samples=readings[:1],
            )
        )
    return figures


async def _two_bots(worker: int, sandbox: Sandbox, customer: Customer, video: str) -> list[float]:
    room = await sandbox.room(video_toggle=True)
    readings: list[float] = []
    jobs: list[str] = []
    for name in ("first", "second"):
        jobs.append(await customer.dispatch(room.guest_url, name, video))
        await customer.until(jobs[-1], {"recording"})
        await asyncio.sleep(TALK_SECONDS)
        samples = []
        for _ in range(5):
            samples.append(usage(worker).pss_mib)
            await asyncio.sleep(1)
        readings.append(statistics.median(samples))
    for job_id in jobs:
        await customer.leave(job_id)
    for job_id in jobs:
        await customer.until(job_id, {"completed", "failed"})
    await sandbox.client.delete(room.room_id)
    return readings
