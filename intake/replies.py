"""Answers to people: the bot's reply to an invite, and why it does not come (RFC 5546, RFC 3834).

Only to senders whose domain is proven, so that nobody gets answers to mail that others sent in
their name; never to lists, programs and returned mail; a few an hour to each.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Final, Protocol

import icalendar

from core.clock import Clock
from core.errors import Unavailable
from core.invites.reading import PARSER_ERRORS, Component, read_calendar
from core.invites.refusals import InviteRefused, Reason
from core.invites.settings import IntakeSettings
from core.texts import plain_text
from intake.mail import Mail
from intake.posting import Outcome
from intake.smtp import Rates
from intake.spool import Received

log = logging.getLogger(__name__)

HOUR_SECONDS: Final = 3600.0
# What every program takes for one address: others may find several in it, or none.
_PLAIN: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-][a-z0-9!#$%&'*+/=?^_`{|}~.-]*@[a-z0-9.-]+")
# Nobody reads what is sent to these.
PROGRAMS: Final = ("mailer-daemon", "postmaster", "noreply", "no-reply", "donotreply", "bounce")
# Nothing that a person has to do, or nothing that concerns who sent it.
SILENT: Final = frozenset({Reason.OUTDATED, Reason.ONLY_AN_ANSWER, Reason.UNVERIFIED_SENDER})


class Courier(Protocol):
    async def deliver(self, message: EmailMessage, *, returned_to: str | None = None) -> None:
        """Send a message.

        Raises:
            Unavailable: it was not taken.
        """
        ...


class NoReplies:
    """Where no mail server is set."""

    async def answer(self, mail: Mail, received: Received, outcomes: Sequence[Outcome]) -> None:
        """Tells nobody."""


class Replies:
    """Answers mails by `courier`."""

    def __init__(self, courier: Courier, settings: IntakeSettings, clock: Clock) -> None:
        self._courier = courier
        self._settings = settings
        self._rates = Rates(settings.answers, clock, window=HOUR_SECONDS)

    async def answer(self, mail: Mail, received: Received, outcomes: Sequence[Outcome]) -> None:
        """Answer each invite of a mail, or the mail where there is none in it."""
        if not self._may_answer(mail, received):
            return
        messages = [self._reply(mail, received, outcome) for outcome in outcomes]
        if mail.refusal is not None:
            messages.append(self._reason(mail, received, mail.refusal.reason, mail.refusal.message))
        for message in messages:
            if message is None or not self._rates.take(str(message["To"]).lower()):
                continue
            try:
                await self._courier.deliver(message, returned_to="")
            except Unavailable as error:
                # The bot comes, or does not, whether it could say so or not.
                log.warning("an answer was not sent: %s", error.message)

    def _may_answer(self, mail: Mail, received: Received) -> bool:
        sender = (mail.sender or "").lower()
        # Calendars call themselves programs, and wait for the answer to their invite.
        service = sender in self._settings.calendar_services
        local = sender.partition("@")[0]
        written = service or (not any(local.startswith(name) for name in PROGRAMS))
        proven = received.verdicts.aligned_domain is not None or self._settings.policy == "off"
        own = sender in self._settings.addresses
        known = _PLAIN.fullmatch(sender) is not None and bool(received.envelope_from)
        return known and written and proven and not (own or mail.listed)

    def _reply(self, mail: Mail, received: Received, outcome: Outcome) -> EmailMessage | None:
        """`accepted` or `declined` where the bot was invited itself; else the reason alone."""
        if outcome.invite.method != "REQUEST" or outcome.reason in SILENT:
            return None
        if outcome.accepted and not outcome.coming:
            # The sender has called the meeting off, by an invite that says so.
            return None
        reason = Reason(outcome.reason) if outcome.reason else None
        try:
            event = read_calendar(outcome.invite.text).series[0].events[0]
        except InviteRefused:
            return self._reason(mail, received, reason, outcome.message)
        organizer = _address(event.get("ORGANIZER"))
        to = (mail.sender or "").lower()
        if organizer is not None and to in self._settings.calendar_services:
            to = organizer
        me = received.recipient.lower()
        if organizer != to or me not in _attendees(event):
            return self._reason(mail, received, reason, outcome.message)
        summary = plain_text(str(event.get("SUMMARY", "")), 200)
        status = "ACCEPTED" if outcome.accepted else "DECLINED"
        message = self._message(me, to, f"{status.capitalize()}: {summary}", mail)
        message.set_content(outcome.message or "The bot will be there.")
        message.add_alternative(
            _answer(event, me, self._settings.bot_name, status),
            subtype="calendar",
            params={"method": "REPLY"},
        )
        return message

    def _reason(
        self, mail: Mail, received: Received, reason: Reason | None, text: str | None
    ) -> EmailMessage | None:
        if reason is None or reason in SILENT or mail.automatic or not text:
            return None
        to = (mail.sender or "").lower()
        subject = f"No bot will come: {mail.subject}"
        message = self._message(received.recipient.lower(), to, subject, mail)
        message.set_content(f"{text}\n\nThis is an automatic answer to your invite.\n")
        return message

    def _message(self, me: str, to: str, subject: str, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = me
        message["To"] = to
        message["Subject"] = plain_text(subject, 250)
        message["Auto-Submitted"] = "auto-replied"
        if mail.message_id is not None and _is_id(mail.message_id):
            message["In-Reply-To"] = message["References"] = mail.message_id
        return message


def _answer(event: Component, me: str, name: str, status: str) -> str:
    """An iTIP REPLY to `event`."""
    calendar = icalendar.Calendar()
    calendar.add("PRODID", "-//meetbot//intake//EN")
    calendar.add("VERSION", "2.0")
    calendar.add("METHOD", "REPLY")
    reply = icalendar.Event()
    kept = ("UID", "SEQUENCE", "RECURRENCE-ID", "DTSTAMP", "DTSTART", "ORGANIZER", "SUMMARY")
    for field in kept:
        if field in event:
            reply[field] = event[field]
    attendee = icalendar.vCalAddress(f"mailto:{me}")
    attendee.params["PARTSTAT"] = status
    attendee.params["CN"] = name
    reply.add("ATTENDEE", attendee)
    calendar.add_component(reply)
    try:
        return str(calendar.to_ical(), "utf-8")
    except PARSER_ERRORS:
        return ""


def _attendees(event: Component) -> set[str]:
    value = event.get("ATTENDEE")
    values = value if isinstance(value, list) else [value]
    return {found for one in values if (found := _address(one)) is not None}


def _address(value: object) -> str | None:
    scheme, _, address = str(value or "").partition(":")
    address = address.strip().lower()
    return address if scheme.lower() == "mailto" and _PLAIN.fullmatch(address) else None


def _is_id(text: str) -> bool:
    return text.startswith("<") and text.endswith(">") and text.isprintable() and " " not in text
