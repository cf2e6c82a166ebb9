"""Mail to people, by the operator's mail server."""

from __future__ import annotations

import logging
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Protocol

import aiosmtplib

from core.errors import Unavailable
from core.settings import MailSettings

log = logging.getLogger(__name__)


class Mailer(Protocol):
    async def send(self, address: str, subject: str, text: str) -> None:
        """Hand one mail over.

        Raises:
            Unavailable: it was not taken.
        """
        ...


class SmtpMailer:
    """Sends by SMTP, one connection a mail: logins are few."""

    def __init__(self, settings: MailSettings) -> None:
        if settings.host is None:
            raise ValueError("a mail server needs a host")
        self._settings = settings

    async def send(self, address: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = address
        message["Subject"] = subject
        message.set_content(text)
        await self.deliver(message)

    async def deliver(self, message: EmailMessage, *, returned_to: str | None = None) -> None:
        """Send a message that is complete but for its date and id.

        Args:
            returned_to: where it goes when it cannot be delivered; "" for nowhere, as answers of
                programs must (RFC 3834). None: to who it is from.

        Raises:
            Unavailable: it was not taken.
        """
        chosen = self._settings
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = make_msgid(domain="meetbot")
        try:
            await aiosmtplib.send(
                message,
                sender=returned_to,
                hostname=chosen.host,
                port=chosen.port,
                username=chosen.user,
                password=chosen.password.get_secret_value() if chosen.password else None,
                use_tls=chosen.security == "tls",
                # False means never, None would mean when the server offers it.
                start_tls=chosen.security == "starttls",
                timeout=chosen.timeout_seconds,
            )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
            raise Unavailable(f"The mail server did not take the mail: {exc}") from exc


class LogMailer:
    """For development: the operator reads the mail in the log."""

    async def send(self, address: str, subject: str, text: str) -> None:
        log.warning("mail to %s (%s), not sent for lack of a server:\n%s", address, subject, text)


class NoMailer:
    """Neither a server nor a log to read: nothing is sent, and the log says what to set."""

    async def send(self, address: str, subject: str, text: str) -> None:  # noqa: ARG002
        raise Unavailable("No mail is sent: set MEETBOT_MAIL__HOST to your mail server.")


def create_mailer(settings: MailSettings, *, links_in_log: bool) -> Mailer:
    """What `settings` say."""
    if settings.host is not None:
        return SmtpMailer(settings)
    return LogMailer() if links_in_log else NoMailer()
