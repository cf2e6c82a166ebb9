"""The IMAP poller: fetches what a mailbox of the bot's got, where no SMTP port can be opened."""

from __future__ import annotations

import hashlib
import logging
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from authres import AuthenticationResultsHeader, AuthResError
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError
from ulid import ULID

from core.clock import Clock, epoch_ms
from core.errors import Unavailable
from core.invites.settings import IntakeSettings
from intake.authentication import (
    DnsAway,
    Envelope,
    Resolver,
    Verdicts,
    authenticate,
    organization,
)
from intake.mail import read_mail
from intake.spool import Received, Spool

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 30
BATCH: Final = 50
# Of a mail that is too large; a signature that lies behind them proves nothing.
MOST_HEADER_BYTES: Final = 64 * 1024
# Mails in one round that cannot be proven now: each may wait for DNS for half a minute.
MOST_PUT_OFF: Final = 3
# After so long a mail is as unproven as it will be: no sender is there to give up.
LONGEST_WAIT: Final = timedelta(days=1)
MIB: Final = 1024 * 1024


@dataclass
class Poller:
    """One look at the mailbox at a time. It marks as seen what it keeps, and deletes nothing."""

    settings: IntakeSettings
    spool: Spool
    resolver: Resolver
    clock: Clock
    # How often a mail was put off, by UID: it lets those go first that were not.
    _put_off: Counter[int] = field(default_factory=Counter)
    # Kept, but perhaps not marked as seen: the connection may have ended in between.
    _kept: set[str] = field(default_factory=set)

    def poll(self) -> int:
        """Keep all mails that were not seen; how many.

        Raises:
            Unavailable: the server is away or refuses, or nothing can be proven or kept now.
        """
        kept = missed = 0
        try:
            with self._logged_in() as client:
                unseen = client.search(["UNSEEN"])
                self._put_off = Counter({uid: self._put_off[uid] for uid in unseen})
                for uid in sorted(unseen, key=self._put_off.__getitem__)[:BATCH]:
                    if self._taken(client, uid):
                        kept += 1
                        continue
                    self._put_off[uid] += 1
                    missed += 1
                    if missed == MOST_PUT_OFF:
                        break
        except (IMAPClientError, OSError) as exc:
            raise Unavailable(f"The IMAP server did not answer: {type(exc).__name__}.") from exc
        if missed and not kept:
            raise Unavailable(f"{missed} mails cannot be proven now; they are looked at again.")
        return kept

    @contextmanager
    def _logged_in(self) -> Iterator[IMAPClient]:
        chosen = self.settings
        client = IMAPClient(
            chosen.imap_host,
            port=chosen.imap_port,
            ssl=chosen.imap_security == "tls",
            timeout=TIMEOUT_SECONDS,
        )
        # Moments with their offset.
        client.normalise_times = False
        try:
            if chosen.imap_security == "starttls":
                client.starttls(ssl.create_default_context())
            password = chosen.imap_password.get_secret_value() if chosen.imap_password else ""
            client.login(chosen.imap_user, password)
            client.select_folder(chosen.imap_folder)
            yield client
        finally:
            with suppress(IMAPClientError, OSError):
                client.logout()

    def _taken(self, client: IMAPClient, uid: int) -> bool:
        """Keep one mail and mark it; False: not now."""
        try:
            name = self._keep(client, uid)
        except (IMAPClientError, OSError, Unavailable):
            raise
        except Exception:
            # Whatever is strange about it is no reason to leave the others unread.
            log.exception("a mail is put off")
            return False
        if name is None:
            return False
        client.add_flags([uid], [b"\\Seen"])
        self._kept.discard(name)
        return True

    def _keep(self, client: IMAPClient, uid: int) -> str | None:
        """Its name in the spool; None where it cannot be proven now."""
        found = client.fetch([uid], ["RFC822.SIZE", "INTERNALDATE"])[uid]
        size, came = int(found[b"RFC822.SIZE"]), found[b"INTERNALDATE"]
        whole = size <= self.settings.most_mib * MIB
        raw = _fetched(client, uid, whole=whole)
        name = _name(uid, raw, came)
        if name not in self._kept:
            verdicts = self._verdicts(raw, came, whole=whole)
            if verdicts is None:
                return None
            refusal = None if whole else self._too_large(size)
            recipient = self.settings.addresses[0] if self.settings.addresses else ""
            mail = Received(raw, recipient, _returned_to(raw), verdicts, refusal)
            self.spool.put(name, mail)
            self._kept.add(name)
        return name

    def _too_large(self, size: int) -> str:
        most = self.settings.most_mib
        log.warning("a mail of %d bytes is too large", size)
        return (
            f"The mail has {-(-size // MIB)} MiB, and only those of up to {most} MiB are read. "
            "Send the invite without attachments."
        )

    def _verdicts(self, raw: bytes, came: datetime, *, whole: bool) -> Verdicts | None:
        """None: not now. What nobody can prove in a day is not waited for any longer."""
        sender = read_mail(raw).sender
        try:
            return authenticate(
                raw,
                sender,
                resolver=self.resolver,
                envelope=Envelope(noted=self._noted(raw, sender)),
                headers_only=not whole,
            )
        except DnsAway:
            if self.clock.now() - came < LONGEST_WAIT:
                return None
            return Verdicts("temperror", "none", "temperror")

    def _noted(self, raw: bytes, sender: str | None) -> tuple[str, str] | None:
        """What our own server noted when it received the mail, for who was connected is gone."""
        domain = organization((sender or "").rpartition("@")[2].lower())
        for name, result in trusted_results(raw, self.settings.imap_authserv_id):
            if name and organization(name) == domain:
                return result, name
        return None


def _fetched(client: IMAPClient, uid: int, *, whole: bool) -> bytes:
    """The mail, or its headers only."""
    part = "BODY.PEEK[]" if whole else f"BODY.PEEK[HEADER]<0.{MOST_HEADER_BYTES}>"
    answer: dict[bytes, Any] = client.fetch([uid], [part]).get(uid, {})
    return bytes(next((value for name, value in answer.items() if name[:4] == b"BODY"), b"") or b"")


def _name(uid: int, raw: bytes, came: datetime) -> str:
    """In order of arrival, and the same one after a failure between keeping and marking."""
    parts = (
        epoch_ms(came).to_bytes(6, "big"),
        uid.to_bytes(4, "big"),
        hashlib.sha256(raw).digest(),
    )
    return str(ULID.from_bytes(b"".join(parts)[:16]))


def _returned_to(raw: bytes) -> str:
    """The envelope's sender, "" for returned mail: by the header of our server, or else by From."""
    head = raw.split(b"\r\n\r\n", 1)[0]
    noted = re.search(rb"^return-path:[ \t]*(\S*)", head, re.IGNORECASE | re.MULTILINE)
    if noted is not None and noted[1] == b"<>":
        return ""
    return read_mail(head + b"\r\n\r\n").sender or ""


def trusted_results(raw: bytes, authserv_id: str | None) -> list[tuple[str, str]]:
    """The SPF results of the first header by our own server: domain of the envelope, verdict.

    Only the first: a sender can write further ones, but none above that of our server.
    """
    if authserv_id is None:
        return []
    head = raw.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    for line in head.split(b"\r\n"):
        if not line.lower().startswith(b"authentication-results:"):
            continue
        try:
            header = AuthenticationResultsHeader.parse(line.decode("ascii", "replace"))
        except (AuthResError, ValueError, IndexError):
            return []
        if header.authserv_id != authserv_id:
            return []
        found = [one for one in header.results if one.method == "spf"]
        return [
            (str(one.smtp_mailfrom or "").rpartition("@")[2].lower(), str(one.result))
            for one in found
        ]
    return []
