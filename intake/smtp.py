"""The SMTP receiver: takes mail for the bot's own addresses and keeps it (CAL-01)."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiosmtpd.smtp import SMTP
from ulid import ULID

from core.clock import Clock
from core.errors import Unavailable
from core.invites.settings import IntakeSettings
from intake.authentication import DnsAway, Envelope, Resolver, authenticate
from intake.mail import read_mail
from intake.spool import Received, Spool

log = logging.getLogger(__name__)

COMMAND_SECONDS: Final = 60
MOST_COMMANDS: Final = 30
MOST_RECIPIENTS: Final = 10
MOST_CONNECTIONS: Final = 100
MOST_PEERS: Final = 10_000
WINDOW_SECONDS: Final = 60.0


class Rates:
    """How often each of many peers did something in the last minute; forgets the oldest."""

    def __init__(self, limit: int, clock: Clock, *, window: float = WINDOW_SECONDS) -> None:
        self._limit = limit
        self._clock = clock
        self._window = window
        self._seen: OrderedDict[str, list[float]] = OrderedDict()

    def take(self, who: str) -> bool:
        """Count one; False where that is too often."""
        now = self._clock.monotonic()
        recent = [at for at in self._seen.pop(who, []) if now - at < self._window]
        allowed = len(recent) < self._limit
        if allowed:
            recent.append(now)
        self._seen[who] = recent
        while len(self._seen) > MOST_PEERS:
            self._seen.popitem(last=False)
        return allowed


@dataclass
class Receiver:
    """What aiosmtpd asks. 451 has the sender's server keep the mail and come again."""

    settings: IntakeSettings
    spool: Spool
    resolver: Resolver
    rates: Rates

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        del server, session, options
        if address.lower() not in self.settings.addresses:
            return "550 5.1.1 There is no such address here"
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        del server
        peer = str(session.peer[0]) if session.peer else ""
        if not self.rates.take(peer):
            return "451 4.7.1 Too many mails, try again later"
        raw = bytes(envelope.original_content or envelope.content or b"")
        try:
            # One mail for several of our addresses is one.
            await asyncio.to_thread(
                self._keep,
                raw,
                peer,
                str(session.host_name or ""),
                str(envelope.mail_from or ""),
                str(envelope.rcpt_tos[0]),
            )
        except DnsAway:
            return "451 4.4.3 DNS does not answer, try again later"
        except Unavailable as error:
            log.warning("a mail was put off: %s", error.message)
            return "451 4.3.0 Cannot keep mail now, try again later"
        return "250 2.0.0 OK"

    def _keep(self, raw: bytes, peer: str, helo: str, envelope_from: str, recipient: str) -> None:
        verdicts = authenticate(
            raw,
            read_mail(raw).sender,
            resolver=self.resolver,
            envelope=Envelope(peer, helo, envelope_from),
        )
        self.spool.put(str(ULID()), Received(raw, recipient, envelope_from, verdicts))


class _Connection(SMTP):
    """One of a bounded number; the others are told to come again."""

    def __init__(self, connections: set[SMTP], *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._connections = connections

    def connection_made(self, transport: Any) -> None:
        if len(self._connections) >= MOST_CONNECTIONS and self not in self._connections:
            transport.write(b"421 4.3.2 Too many connections, try again later\r\n")
            transport.close()
            return
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._connections:
            self._connections.discard(self)
            super().connection_lost(error)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[int]:
    """Listen while the context lasts; the port that it got."""
    settings = receiver.settings
    tls = tls_context(settings)
    loop = asyncio.get_running_loop()
    connections: set[SMTP] = set()

    def protocol() -> SMTP:
        return _Connection(
            connections,
            receiver,
            data_size_limit=settings.most_mib * 1024 * 1024,
            enable_SMTPUTF8=True,
            hostname=settings.smtp_name,
            ident="meetbot",
            tls_context=tls,
            require_starttls=settings.require_tls,
            timeout=COMMAND_SECONDS,
            command_call_limit={"*": MOST_COMMANDS},
            loop=loop,
        )

    server = await loop.create_server(protocol, settings.smtp_host, settings.smtp_port)
    try:
        port: int = server.sockets[0].getsockname()[1]
        yield port
    finally:
        server.close()
        for connection in list(connections):
            if connection.transport is not None:
                connection.transport.close()


def tls_context(settings: IntakeSettings) -> ssl.SSLContext | None:
    """For STARTTLS; None without a certificate."""
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context
