"""`meetbot-server identities`: teams, people and keys of one region in all of them (RG-06)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import typer
from pydantic import SecretStr

from core.accounts import replication
from core.errors import BadInput, MeetbotError
from core.settings import Settings
from meetbot_server.stack import running_settings

Result = TypeVar("Result")

app = typer.Typer(no_args_is_help=True, help="Replicate teams, people and keys between regions.")


@app.command()
def publish() -> None:
    """At home: offer the identities of this database to the other regions."""
    settings = running_settings(Settings())
    if not settings.identities.home:
        _fail("MEETBOT_IDENTITIES__HOME is false here; publish in the region that is home.")
    _do(replication.publish(_url(settings)))
    typer.echo(f"Published as {replication.PUBLICATION}.")


@app.command()
def subscribe() -> None:
    """Elsewhere: have the identities of MEETBOT_IDENTITIES__SOURCE_URL arrive here."""
    settings = running_settings(Settings())
    if settings.identities.home:
        _fail("Set MEETBOT_IDENTITIES__HOME to false first; here identities will only arrive.")
    source = settings.identities.source_url
    if source is None:
        _fail("Set MEETBOT_IDENTITIES__SOURCE_URL to the database of the home region.")
    _do(replication.subscribe(_url(settings), source, settings.region))
    typer.echo(f"Subscribed as {replication.subscription(settings.region)}.")


@app.command()
def unsubscribe() -> None:
    """Elsewhere: let nothing arrive any more. What is here stays."""
    settings = running_settings(Settings())
    _do(replication.unsubscribe(_url(settings), settings.region))


@app.command()
def status() -> None:
    """Elsewhere: whether everything that was there at the beginning has arrived."""
    settings = running_settings(Settings())
    complete = _do(replication.arrived(_url(settings), settings.region))
    typer.echo("Identities are complete." if complete else "Identities are not complete yet.")
    raise typer.Exit(0 if complete else 1)


def _url(settings: Settings) -> SecretStr:
    if settings.database_url is None:
        raise BadInput("MEETBOT_DATABASE_URL is not set.")
    return settings.database_url


def _do(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(work)
    except MeetbotError as error:
        _fail(error.message)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
