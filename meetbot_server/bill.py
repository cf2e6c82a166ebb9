"""`meetbot-server bill`: check bills against the manifests, grant credit, agree on a price."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, TypeVar

import typer

from core.clock import SystemClock
from core.errors import MeetbotError
from core.settings import Settings

Found = TypeVar("Found")

app = typer.Typer(no_args_is_help=True, help="Bills: check them, grant credit, agree on prices.")

DIFFERENT: Final = 1
UNSAID: Final = 2


@app.command()
def check(
    team: Annotated[str | None, typer.Argument(help="A team's id; all teams without one.")] = None,
) -> None:
    """Recompute bills from the manifests, and ask Stripe; exit code 1 when anything differs."""
    from rich.console import Console

    from meetbot_server import bills

    console = Console(highlight=False, soft_wrap=True)
    audits = _done(bills.audit(_settings(), SystemClock(), team))
    for found in audits:
        bills.show(found, console)
    raise typer.Exit(DIFFERENT if any(found.differences for found in audits) else 0)


@app.command()
def resend(
    identifier: Annotated[str, typer.Argument(help="As `bill check` names it: a job's id, …")],
    *,
    counted: Annotated[bool, typer.Option(help="Stripe has it: send nothing.")] = False,
) -> None:
    """Tell Stripe again of usage that it turned out not to have, or note that it has it."""
    from meetbot_server import bills

    typer.echo(_done(bills.resend(_settings(), SystemClock(), identifier, counted=counted)))


@app.command()
def grant(team: str, usd: str, note: str = "") -> None:
    """Give a team more credit, in dollars."""
    from meetbot_server import bills

    typer.echo(_done(bills.grant(_settings(), SystemClock(), team, _dollars(usd), note)))


@app.command()
def rate(
    team: str,
    usd: Annotated[str, typer.Argument(help="Dollars per recorded hour, or `list`.")],
) -> None:
    """Agree with a team on a price of its own, or go back to the list price."""
    from meetbot_server import bills

    agreed = None if usd == "list" else _dollars(usd)
    typer.echo(_done(bills.set_rate(_settings(), team, agreed)))


@app.command("setup-stripe")
def setup_stripe() -> None:
    """Make the meters and prices at Stripe that are missing; again, as often as you like."""
    from meetbot_server import bills

    typer.echo(_done(bills.set_up_stripe(_settings(), SystemClock())))


def _settings() -> Settings:
    from meetbot_server.stack import running_settings

    return running_settings(Settings())


def _done(work: Coroutine[Any, Any, Found]) -> Found:
    """Run it; an error of ours ends the command with its message."""
    try:
        return asyncio.run(work)
    except MeetbotError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(UNSAID) from None


def _dollars(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0 or value != value.quantize(Decimal("0.001")):
        raise typer.BadParameter("Write dollars as 0.24, with three decimals at the most.")
    return value
