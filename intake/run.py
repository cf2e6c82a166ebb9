"""The mail worker: receiver, poller and poster in one process (CAL-02)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

import httpx

from core.clock import Clock
from core.errors import BadInput, Unavailable
from core.mail import SmtpMailer
from core.settings import Settings
from intake.authentication import Resolver, SystemResolver
from intake.imap import Poller
from intake.posting import TIMEOUT_SECONDS, Answers, Poster
from intake.replies import NoReplies, Replies
from intake.smtp import Rates, Receiver, receiving
from intake.spool import Spool

log = logging.getLogger(__name__)


async def run(
    settings: Settings,
    clock: Clock,
    *,
    resolver: Resolver | None = None,
    listening: asyncio.Future[int] | None = None,
) -> None:
    """Until cancelled. `listening` gets the port of the receiver.

    Raises:
        BadInput: a setting is missing; the message names it.
    """
    chosen = settings.intake
    if not chosen.receives:
        raise BadInput("Set MEETBOT_INTAKE__SMTP_PORT or MEETBOT_INTAKE__IMAP_HOST.")
    if not chosen.addresses:
        raise BadInput("Set MEETBOT_INTAKE__ADDRESSES to the bot's own addresses.")
    token = chosen.token or next(iter(settings.api.intake_tokens), None)
    if token is None:
        raise BadInput("Set MEETBOT_INTAKE__TOKEN to one of the API's MEETBOT_API__INTAKE_TOKENS.")
    names = resolver or SystemResolver()
    spool = Spool(settings.data_dir / "intake", most=chosen.most_waiting)
    answers: Answers = NoReplies()
    if settings.mail.host is not None:
        answers = Replies(SmtpMailer(settings.mail), chosen, clock)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=str(chosen.api_url or settings.api.public_url),
                headers={"authorization": f"Bearer {token.get_secret_value()}"},
                timeout=TIMEOUT_SECONDS,
                trust_env=False,
            )
        )
        if chosen.smtp_port is not None:
            receiver = Receiver(chosen, spool, names, Rates(chosen.mails, clock))
            port = await stack.enter_async_context(receiving(receiver))
            log.info("receiving mail on port %d", port)
            if listening is not None:
                listening.set_result(port)
        async with asyncio.TaskGroup() as tasks:
            poster = Poster(spool, client, answers, clock, zone=chosen.timezone)
            tasks.create_task(poster.run())
            if chosen.imap_host is not None:
                tasks.create_task(_poll(Poller(chosen, spool, names, clock), clock))


async def _poll(poller: Poller, clock: Clock) -> None:
    while True:
        try:
            await asyncio.to_thread(poller.poll)
        except Unavailable as error:
            log.warning("the mailbox was not read: %s", error.message)
        except Exception:
            # One strange mail must end neither the receiver nor the poster.
            log.exception("the mailbox was not read")
        await clock.sleep(poller.settings.imap_seconds)
