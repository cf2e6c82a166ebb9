"""`meetbot-server identities`: teams, keys, cards and usage in all regions (RG-06, RG-07)."""

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

app = typer.Typer(
    no_args_is_help=True, help="Replicate teams, keys, cards and usage between regions."
)


@app.command()
def publish() -> None:
    """Offer the usage of this region to the others, and at home the identities, too."""
    settings = running_settings(Settings())
    _do(replication.publish_usage(_url(settings), settings.region))
    typer.echo(f"Published the usage of {settings.region}.")
    if settings.identities.home:
        _do(replication.publish(_url(settings)))
        typer.echo(f"Published as {replication.PUBLICATION}.")


@app.command()
def subscribe() -> None:
    """Have the identities of MEETBOT_IDENTITIES__SOURCE_URL arrive here, and others' usage."""
    settings = running_settings(Settings())
    identities = settings.identities
    if identities.home and not identities.other_urls:
        _fail(
            "At home only the usage of other regions arrives: name their databases in "
            "MEETBOT_IDENTITIES__OTHER_URLS, or set MEETBOT_IDENTITIES__HOME to false."
        )
    if not identities.home:
        if identities.source_url is None:
            _fail("Set MEETBOT_IDENTITIES__SOURCE_URL to the database of the home region.")
        _do(replication.subscribe(_url(settings), identities.source_url, settings.region))
        typer.echo(f"Subscribed as {replication.subscription(settings.region)}.")
    for other, source in sorted(identities.other_urls.items()):
        _do(replication.subscribe_usage(_url(settings), other, source, settings.region))
        typer.echo(f"Subscribed to the usage of {other}.")


@app.command()
def unsubscribe() -> None:
    """Let nothing arrive any more. What is here stays."""
    settings = running_settings(Settings())
    others = settings.identities.other_urls
    _do(replication.unsubscribe(_url(settings), settings.region, others))


@app.command()
def status() -> None:
    """Whether everything that was there at the beginning has arrived."""
    settings = running_settings(Settings())
    complete = _do(replication.arrived(_url(settings)))
    what = "Identities and usage are" if complete else "Identities and usage are not"
    typer.echo(f"{what} complete{'' if complete else ' yet'}.")
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
