"""`meetbot-server up`: the stack in the foreground."""

from __future__ import annotations

import asyncio
import signal

from rich.console import Console

from core.clock import Clock
from core.settings import Settings
from meetbot_server import teams
from meetbot_server.prefect_setup import SetupFailed
from meetbot_server.stack import AlreadyRunning, Stack
from meetbot_server.supervisor import ChildFailed


async def run(settings: Settings, clock: Clock) -> int:
    """Run until SIGINT or SIGTERM. Returns the exit code."""
    console = Console()
    stop = stop_event()
    stack = Stack(settings, clock, say=lambda text: console.print(f"[dim]{text}[/]"))
    try:
        async with stack:
            if stack.settings.identities.home and await teams.none_yet(stack.settings):
                teams.show(await teams.create(stack.settings, clock, "First team"), console)
            describe(stack.settings, console)
            await stop.wait()
            console.print("\nStopping: live meetings leave and are delivered first.")
    except (AlreadyRunning, ChildFailed, SetupFailed) as error:
        console.print(f"[red]{error}[/]")
        return 1
    return 0


def stop_event() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def describe(settings: Settings, console: Console) -> None:
    """Say where everything is."""
    auth = settings.prefect.auth
    console.print(f"API       {settings.api.public_url}/api/v1")
    console.print(f"          {settings.api.public_url}/docs")
    console.print(f"Log in    {settings.api.login_url}/login")
    if settings.mail.host is None:
        where = "in api.log below" if settings.login.links_in_log else "nowhere"
        console.print(f"          no MEETBOT_MAIL__HOST is set: login links appear {where}")
    console.print(f"Prefect   {settings.prefect.ui_url}")
    if auth is not None:
        console.print(f"          sign in with {auth.get_secret_value()}", highlight=False)
    console.print(f"Sandbox   {settings.sandbox.origin}")
    console.print(f"Storage   {settings.local_storage_root.absolute()}")
    console.print(f"Logs      {(settings.data_dir / 'logs').absolute()}")
