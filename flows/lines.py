"""The line of a job's bot to the job store, and what its run hears on it (design.md D3).

The run keeps the job's lease by the worker's database, whichever way its bot speaks: an API that
is away must not look like a bot that has died.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from bot.control import Command, ControlChannel, Outcome, Progress, Report
from bot.control_http import HttpChannel
from core.jobs.bot_tokens import mint_bot_token
from core.jobs.models import Job
from core.settings import BotSettings, Settings
from flows.channel import DatabaseChannel
from flows.resources import Resources


class Line:
    """A control channel that its run listens to.

    Args:
        on_event: called when the job store has taken an event, so that its webhooks leave at once.
    """

    def __init__(self, channel: ControlChannel, on_event: Callable[[], None]) -> None:
        self._channel = channel
        self._on_event = on_event
        # The last snapshot that the bot reported.
        self.progress: Progress | None = None

    async def report(self, report: Report) -> None:
        if isinstance(report, Progress):
            self.progress = report
        await self._channel.report(report)
        if not isinstance(report, Progress):
            # Everything else may have a webhook.
            self._on_event()

    def commands(self) -> AsyncIterator[Command]:
        return self._channel.commands()

    async def begin(self, command_id: str) -> bool:
        return await self._channel.begin(command_id)

    async def settle(
        self,
        command_id: str,
        outcome: Outcome,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        await self._channel.settle(command_id, outcome, detail, result)

    async def renew(self) -> None:
        await self._channel.renew()


@asynccontextmanager
async def open_line(
    resources: Resources, job: Job, direct: DatabaseChannel, on_event: Callable[[], None]
) -> AsyncIterator[Line]:
    """The line for one attempt's bot: `direct`, or over HTTP with a token of the attempt's own."""
    settings = resources.settings
    if not speaks_http(settings.bot, job.labels):
        yield Line(direct, on_event)
        return
    token = mint_bot_token(settings.encryption_keys, job.id, job.fence)
    async with HttpChannel(api_url(settings), token, job.id, resources.clock) as channel:
        yield Line(channel, on_event)


def speaks_http(bot: BotSettings, labels: Mapping[str, Any]) -> bool:
    """Whether the bot of a job with these labels speaks to the API, not to the database."""
    if bot.channel == "http":
        return True
    key, _, value = (bot.http_metadata or "").partition("=")
    return bool(key) and str(labels.get(key)) == value


def api_url(settings: Settings) -> str:
    """Where bots reach the API."""
    given = settings.bot.api_url
    return str(given).rstrip("/") if given is not None else settings.api.public_url
