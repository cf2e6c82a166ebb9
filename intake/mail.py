"""From the bytes of a mail to the invites in it; whatever they are, it neither fails nor hangs."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from typing import Final

from core.invites.merging import added
from core.invites.reading import read_calendar
from core.invites.refusals import InviteRefused, Reason, unreadable, unsupported
from core.invites.screening import unfolded
from core.texts import plain_text
from intake.outlook import meeting_of
from intake.tnef import read_tnef

MOST_PARTS: Final = 100
DEEPEST: Final = 8
MOST_TNEF_BYTES: Final = 4 * 1024 * 1024
MOST_INVITES: Final = 20
CALENDARS: Final = frozenset({"text/calendar", "application/ics", "application/calendar"})
# How each method counts; the others are for people, such as REPLY and COUNTER.
METHODS: Final = {"REQUEST": "REQUEST", "PUBLISH": "REQUEST", "ADD": "REQUEST", "CANCEL": "CANCEL"}
TNEF_SIGNATURE: Final = b"\x78\x9f\x3e\x22"


@dataclass(frozen=True)
class MailInvite:
    """One event of a mail; `text` is a calendar with that event alone."""

    uid: str
    method: str
    text: str


@dataclass(frozen=True)
class Mail:
    """What a mail says. `refusal` is why there are no invites in it.

    `automatic`: a program wrote it (RFC 3834); `listed`: it came by a list.
    """

    message_id: str | None
    sender: str | None
    subject: str
    automatic: bool
    listed: bool
    invites: Sequence[MailInvite] = ()
    refusal: InviteRefused | None = None


def read_mail(raw: bytes, *, zone: str = "UTC") -> Mail:
    """Everything that matters here of a mail."""
    try:
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
    except (RecursionError, ValueError, LookupError, AttributeError):
        return Mail(None, None, "", automatic=True, listed=True, refusal=unreadable("no mail"))
    refusal: InviteRefused | None = None
    invites: list[MailInvite] = []
    try:
        invites = _invites(message, zone)
    except InviteRefused as refused:
        refusal = refused
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError) as exc:
        refusal = unreadable(type(exc).__name__)
    submitted = _header(message, "Auto-Submitted").lower()
    precedence = _header(message, "Precedence").lower()
    return Mail(
        message_id=_header(message, "Message-ID") or None,
        sender=_sender(message),
        subject=_header(message, "Subject"),
        automatic=submitted not in ("", "no"),
        listed=precedence in ("bulk", "list", "junk")
        or any(str(name).lower().startswith("list-") for name in message.keys()),  # noqa: SIM118
        invites=invites,
        refusal=refusal,
    )


def refused(mail: Mail, why: str) -> Mail:
    """A mail whose body nobody has read, for the reason `why`."""
    return replace(mail, invites=(), refusal=InviteRefused(Reason.UNSUPPORTED, why))


def _invites(message: Message, zone: str) -> list[MailInvite]:
    """By UID, each once: programs attach what they also show inline.

    Raises:
        InviteRefused: there are none.
    """
    found: dict[str, MailInvite] = {}
    first: InviteRefused | None = None
    damaged: list[InviteRefused] = []
    for text, parameter in _calendars(message, damaged):
        try:
            read = read_calendar(text, zone=zone)
        except InviteRefused as refused:
            first = first or refused
            continue
        method = METHODS.get(read.named_method or parameter or "REQUEST")
        if method is None:
            first = InviteRefused(Reason.ONLY_AN_ANSWER, "The mail answers an invite, and is none.")
            continue
        for series in read.series:
            one = added(series) if read.named_method == "ADD" else series
            found.setdefault(series.uid, MailInvite(series.uid, method, one.text))
        if len(found) > MOST_INVITES:
            raise unsupported(f"the mail has more than {MOST_INVITES} events")
    if not found:
        raise (
            first
            or next(iter(damaged), None)
            or InviteRefused(
                Reason.NO_INVITE, "The mail has no calendar part; invite the bot from a calendar."
            )
        )
    return list(found.values())


def _calendars(message: Message, damaged: list[InviteRefused]) -> Iterator[tuple[str, str | None]]:
    """The text of each calendar part, and the method that its type names.

    What is wrong with an envelope of Outlook's goes to `damaged`: there may be other parts.
    """
    for part in _parts(message, 0, [0]):
        kind = part.get_content_type()
        name = plain_text(str(part.get_filename() or ""), 200).lower()
        if kind in CALENDARS or name.endswith(".ics"):
            method = part.get_param("method")
            yield _text(part), method.upper() if isinstance(method, str) else None
        elif kind in ("application/ms-tnef", "application/vnd.ms-tnef") or name == "winmail.dat":
            try:
                texts = _in_tnef(_bytes(part), _sender(message))
            except InviteRefused as refused:
                damaged.append(refused)
                continue
            for text in texts:
                yield text, None


def _parts(message: Message, depth: int, count: list[int]) -> Iterator[Message]:
    """The leaves, those of forwarded mails among them."""
    count[0] += 1
    if count[0] > MOST_PARTS or depth > DEEPEST:
        raise unsupported("the mail has too many parts")
    payload = message.get_payload()
    if not isinstance(payload, list):
        yield message
        return
    for part in payload:
        if isinstance(part, Message):
            yield from _parts(part, depth + 1, count)


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    """By the character set it names, or else as what it most likely is."""
    data = unfolded(_bytes(part))
    names = [str(part.get_content_charset() or "utf-8"), "utf-8", "cp1252"]
    for name in names:
        try:
            return data.decode(name)
        except (LookupError, UnicodeError):
            continue
    return data.decode("utf-8", "replace")


def _in_tnef(data: bytes, sender: str | None) -> list[str]:
    """Calendars that Outlook put into its own envelope, or what it says of a meeting there.

    Raises:
        InviteRefused: it is damaged, or its meeting cannot be told.
    """
    if not data.startswith(TNEF_SIGNATURE) or len(data) > MOST_TNEF_BYTES:
        return []
    try:
        parsed = read_tnef(data)
        contents = [bytes(one.data or b"") for one in parsed.attachments[:MOST_PARTS]]
        calendars = [one for one in contents if one.lstrip()[:15].upper() == b"BEGIN:VCALENDAR"]
        if calendars:
            return [content.decode("utf-8", "replace") for content in calendars]
        meeting = meeting_of(parsed, sender)
    except InviteRefused:
        raise
    except Exception as exc:
        # The package reads on demand: damage shows wherever something is looked at.
        raise unreadable(f"winmail.dat is damaged ({type(exc).__name__})") from exc
    return [] if meeting is None else [meeting]


def _sender(message: Message) -> str | None:
    """The one address in From; None where there are several, or none."""
    values = [_header_text(value) for value in message.get_all("From", [])]
    addresses = [address for _, address in getaddresses(values) if address]
    one = len(values) == 1 and len(addresses) == 1 and "@" in addresses[0]
    return addresses[0] if one else None


def _header(message: Message, name: str) -> str:
    return plain_text(_header_text(message.get(name, "")), 500)


def _header_text(value: object) -> str:
    """One line; headers that are folded or spelled in bytes do not break out of it."""
    text = str(value)
    if len(text) > 2_000:
        return ""
    try:
        return plain_text(str(make_header(decode_header(text))), 1_000)
    except (ValueError, LookupError, UnicodeError, email.errors.MessageError):
        return plain_text(text, 1_000)
