"""A mail server on loopback that keeps what it was handed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.support.ports import free_port


class Mailbox:
    """Mails as (sender, recipients, message); it takes them from one user with a password."""

    def __init__(self, user: str, password: str) -> None:
        self.port = free_port()
        self.mails: list[tuple[str, list[str], Message]] = []
        self._login = (user.encode(), password.encode())

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(
            (envelope.mail_from, envelope.rcpt_tos, message_from_bytes(envelope.content))
        )
        return "250 OK"

    def check(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == self._login
        return AuthResult(success=good)

    def texts(self) -> list[str]:
        """The bodies, in order of arrival."""
        bodies = [mail.get_payload(decode=True) for _, _, mail in self.mails]
        return [body.decode() for body in bodies if isinstance(body, bytes)]


@contextmanager
def running_mailbox(user: str, password: str) -> Iterator[Mailbox]:
    mailbox = Mailbox(user, password)
    with warnings.catch_warnings():
        # Passwords without encryption, on loopback.
        warnings.simplefilter("ignore")
        controller = Controller(
            mailbox,
            hostname="127.0.0.1",
            port=mailbox.port,
            authenticator=mailbox.check,
            auth_required=True,
            auth_require_tls=False,
        )
        controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
