"""The operator's command. `meetbot-server up` runs everything; the others are its parts."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from core.clock import SystemClock
from core.logs import configure_logging
from core.settings import Settings
from meetbot_server import account_commands, bill, identities

# How long the API waits for its open connections when it is told to end.
SHUTDOWN_SECONDS: Final = 3

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(bill.app, name="bill")
doctors = typer.Typer()
app.add_typer(doctors, name="doctor")


@app.callback()
def configure() -> None:
    """meetbot-server: record meetings, one Prefect flow run each."""
    configure_logging(Settings().logs)


@app.command()
def up() -> None:
    """Run the whole stack on this machine, in the foreground; Ctrl-C stops it cleanly."""
    from meetbot_server.up import run

    raise typer.Exit(asyncio.run(run(Settings(), SystemClock())))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option(help="Leave the stack and the room running.")] = False,
) -> None:
    """Record a sandbox meeting from dispatch to webhook, and print what came out."""
    from meetbot_server.demo.run import run

    raise typer.Exit(asyncio.run(run(Settings(), SystemClock(), keep=keep)))


@app.command()
def contracts(
    check: Annotated[bool, typer.Option(help="Only say whether they are up to date.")] = False,
) -> None:
    """Write the documents under contracts/ anew: OpenAPI, Postman, schemas, llms.txt."""
    from meetbot_server.contracts import files

    if not check:
        files.write()
        return
    stale = files.stale()
    if stale:
        print(f"Out of date in contracts/: {', '.join(stale)}. Write them anew: make contracts")
        raise typer.Exit(1)


@app.command()
def api() -> None:
    """Serve the HTTP API."""
    import uvicorn

    from api.app import create_app
    from api.routes.socket import MOST_CHARACTERS

    settings = Settings()
    app = create_app(settings)
    # What was imported stays; without this it is searched for garbage again and again, which costs
    # a page of a list a fifth of its time.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.api.host,
        port=settings.api.port,
        log_config=None,
        access_log=False,
        ws_max_size=MOST_CHARACTERS,
        # The application does it, by MEETBOT_API__TRUSTED_PROXIES.
        proxy_headers=False,
        # Event streams and long polls of bots stay open; both come back by themselves.
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


@app.command()
def files() -> None:
    """Serve time-limited links into the local storage folder."""
    import uvicorn

    from core.storage.files import create_files_app

    settings = Settings()
    secret = settings.storage.link_secret
    if secret is None:
        raise typer.BadParameter("MEETBOT_STORAGE__LINK_SECRET is not set")
    uvicorn.run(
        create_files_app(settings.local_storage_root, secret),
        host=settings.storage.files_host,
        port=settings.storage.files_port,
        log_config=None,
        # Addresses of files carry their permission.
        access_log=False,
    )


@app.command()
def sandbox() -> None:
    """Serve the sandbox meeting platform."""
    from sandbox.serve import serve

    serve(Settings())


@app.command()
def worker() -> None:
    """Take meetings from Prefect and run each in a process of its own."""
    from meetbot_server import standalone

    # See flows/__main__.py for why it does not stay in this process image.
    command = [sys.executable, "-m", "flows"]
    os.execve(sys.executable, command, standalone.environment(Settings()))  # noqa: S606 - our own module


@app.command("prefect-server")
def prefect_server() -> None:
    """Run Prefect's server as `up` does: with auth, on PostgreSQL, for its own origin only."""
    from meetbot_server import standalone

    settings = Settings()
    command = [sys.executable, *standalone.prefect_command(settings)]
    os.execve(sys.executable, command, standalone.prefect_environment_of(settings))  # noqa: S606 - Prefect


@app.command("prefect-setup")
def prefect_setup() -> None:
    """Make work pool, queues, automation and deployments; again and again, as often as you like."""
    from meetbot_server import standalone

    asyncio.run(standalone.set_up(Settings(), SystemClock()))


@app.command()
def watch() -> None:
    """Give jobs whose process died another one. Run as many as you like: one of them watches."""
    from flows.watch import run

    asyncio.run(run(Settings()))


@app.command()
def intake() -> None:
    """Receive invites by mail, and post them to the API."""
    from core.errors import BadInput
    from intake.run import run

    try:
        asyncio.run(run(Settings(), SystemClock()))
    except BadInput as error:
        raise typer.BadParameter(error.message) from error


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    from core.database import migrate as bring_up

    url = Settings().database_url
    if url is None:
        raise typer.BadParameter("MEETBOT_DATABASE_URL is not set")
    asyncio.run(bring_up(url))


@app.command("rotate-keys")
def rotate_keys() -> None:
    """Seal every stored secret with the newest of MEETBOT_ENCRYPTION_KEYS; the stack may run."""
    from rich.console import Console

    from meetbot_server import sealing
    from meetbot_server.stack import running_settings

    done = asyncio.run(sealing.rotate(running_settings(Settings())))
    raise typer.Exit(0 if sealing.show(done, Console(highlight=False)) else 1)


@app.command()
def erase(
    what: Annotated[Literal["job", "team"], typer.Argument(help="What `id` is the id of.")],
    id_: Annotated[str, typer.Argument(metavar="ID", help="`job_…` or `team_…`.")],
) -> None:
    """Erase a job, or all of a team, for good; again: print the receipt, or go on."""
    from core.errors import MeetbotError
    from meetbot_server import erasing
    from meetbot_server.stack import running_settings

    settings = running_settings(Settings())
    try:
        if what == "job":
            row = asyncio.run(erasing.erase_job(settings, SystemClock(), id_))
            waits = "Its receipt is made within minutes; run this again to see it."
            print(row.receipt or f"{row.job_id} is being erased. {waits}")
            return
        team = asyncio.run(erasing.erase_team(settings, SystemClock(), id_))
    except MeetbotError as error:
        print(error.message, file=sys.stderr)
        raise typer.Exit(1) from error
    print(f"{team.completed} of {team.jobs} erased jobs have their receipt; closed: {team.closed}.")
    if team.refused:
        print(f"Their bucket is away, it is tried again: {', '.join(team.refused)}")
    if team.live:
        print(f"Not over, and not erased: {', '.join(team.live)}")
    raise typer.Exit(0 if team.done else 1)


@doctors.callback(invoke_without_command=True)
def doctor(
    context: typer.Context,
    install: Annotated[bool, typer.Option(help="Install what is missing, where possible.")] = False,
) -> None:
    """Say whether this machine has what a bot needs, and how to get what is missing."""
    from meetbot_server.doctor import examine

    if context.invoked_subcommand is None:
        raise typer.Exit(examine(Settings(), install=install))


@doctors.command("platform")
def doctor_platform(
    platform: Annotated[str, typer.Argument(help="As in requests, such as `zoom`.")],
    url: Annotated[
        str | None, typer.Option(help="A meeting of yours; without it, a link to none.")
    ] = None,
    join: Annotated[bool, typer.Option(help="Go into the meeting, too, and leave it.")] = False,
    folder: Annotated[Path, typer.Option(help="Where what was seen is kept.")] = Path(
        "meetbot-doctor"
    ),
    seconds: Annotated[float, typer.Option(min=1, max=300, help="For the page to come.")] = 30,
) -> None:
    """Open a platform's page and say what of it the driver recognises, and by what.

    Exit code 0: a known screen (with --join: in the room); 1: not; 2: wrong arguments.
    """
    from rich.console import Console

    from core.errors import BadInput, MeetbotError
    from meetbot_server.doctor_platform import Check, check

    asked = Check(platform, url, folder, seconds, join)
    try:
        code = asyncio.run(check(Settings(), SystemClock(), asked, Console(highlight=False)))
    except BadInput as error:
        raise typer.BadParameter(error.message) from error
    except MeetbotError as error:
        print(error.message, file=sys.stderr)
        raise typer.Exit(1) from error
    raise typer.Exit(code)


account_commands.add_to(app)
app.add_typer(identities.app, name="identities")


def main() -> None:
    # Closed output (a pager, `head`) ends the command instead of raising in it.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    app()


if __name__ == "__main__":
    main()
