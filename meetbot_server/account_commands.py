"""The operator's commands on teams, people and keys."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from core.clock import SystemClock
from core.errors import MeetbotError
from core.settings import Settings
from meetbot_server import accounts
from meetbot_server import teams as new_teams
from meetbot_server.stack import running_settings

Result = TypeVar("Result")

TeamId = Annotated[str, typer.Argument(help="`team_…`, as `meetbot-server teams` shows it.")]


def add_to(app: typer.Typer) -> None:
    """Make the commands of this module commands of `app`."""
    app.command("create-team")(create_team)
    app.command("teams")(teams)
    app.command("users")(users)
    app.command("keys")(keys)
    app.command("create-key")(create_key)
    app.command("revoke-key")(revoke_key)


def create_team(name: str) -> None:
    """Make a team of the running stack and print its keys once."""
    made = _do(new_teams.create(running_settings(Settings()), SystemClock(), name))
    new_teams.show(made, _console())


def teams() -> None:
    """List the teams, newest first."""
    rows = _do(accounts.teams(running_settings(Settings())))
    accounts.show(("team", "name", "keys in use", "since"), rows, _console())


def users() -> None:
    """List the people who have logged in, newest first."""
    rows = _do(accounts.users(running_settings(Settings())))
    accounts.show(("user", "e-mail", "team", "since"), rows, _console())


def keys(team: TeamId) -> None:
    """List a team's keys, newest first; the keys themselves are not stored."""
    rows = _do(accounts.keys(running_settings(Settings()), team))
    accounts.show(("key", "name", "begins with", "last used", "revoked"), rows, _console())


def create_key(
    team: TeamId,
    name: str,
    test: Annotated[bool, typer.Option(help="For the sandbox, never billed.")] = False,
) -> None:
    """Make a key of a team and print it once."""
    settings = running_settings(Settings())
    key = _do(accounts.create_key(settings, SystemClock(), team, name, livemode=not test))
    typer.echo(key.get_secret_value())


def revoke_key(key: Annotated[str, typer.Argument(help="`key_…`, not the key itself.")]) -> None:
    """Refuse all further requests with a key; bots that it sent go on."""
    _do(accounts.revoke_key(running_settings(Settings()), SystemClock(), key))


def _console() -> Console:
    return Console(highlight=False)


def _do(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(work)
    except MeetbotError as error:
        _fail(error.message)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
