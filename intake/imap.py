"""The IMAP poller: fetches what a mailbox of the bot's got, where no SMTP port can be opened."""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from authres import AuthenticationResultsHeader, AuthResError
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from core.errors import Unavailable
from core.invites.settings import IntakeSettings
from intake.authentication import DnsAway, Resolver, Verdicts, authenticate, organization
from intake.mail import read_mail
from intake.spool import Received, Spool

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 30
BATCH: Final = 50


@dataclass
class Poller:
    """One look at the mailbox at a time. It marks as seen what it keeps, and deletes nothing."""

    settings: IntakeSettings
    spool: Spool
    resolver: Resolver

    def poll(self) -> int:
        """Keep all mails that were not seen; how many.

        Raises:
            Unavailable: the server or DNS is away, or refuses.
        """
        kept = 0
        most = self.settings.most_mib * 1024 * 1024
        try:
            with self._logged_in() as client:
                for uid in client.search(["UNSEEN"])[:BATCH]:
                    size = client.fetch([uid], ["RFC822.SIZE"])[uid][b"RFC822.SIZE"]
                    if size > most:
                        log.warning("a mail of %d bytes is left unread", size)
                    else:
                        kept += self._keep(client, uid)
                    client.add_flags([uid], [b"\\Seen"])
        except (IMAPClientError, OSError, KeyError) as exc:
            raise Unavailable(f"The IMAP server did not answer: {type(exc).__name__}.") from exc
        except DnsAway as exc:
            raise Unavailable("DNS does not answer.") from exc
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

    def _keep(self, client: IMAPClient, uid: int) -> int:
        fetched: dict[bytes, Any] = client.fetch([uid], ["BODY.PEEK[]"])[uid]
        raw = bytes(fetched[b"BODY[]"] or b"")
        sender = read_mail(raw).sender
        own = authenticate(raw, sender, resolver=self.resolver, peer="", helo="", envelope_from="")
        returned_to = sender or ""
        recipient = self.settings.addresses[0] if self.settings.addresses else ""
        mail = Received(raw, recipient, returned_to, self._with_spf(raw, sender, own))
        # By its content, so that it is the same one after a failure between the two steps.
        self.spool.put(hashlib.sha256(raw).hexdigest(), mail)
        return 1

    def _with_spf(self, raw: bytes, sender: str | None, own: Verdicts) -> Verdicts:
        """What our own server noted when it received the mail, for who was connected is gone."""
        domain = (sender or "").rpartition("@")[2].lower()
        for name, result in trusted_results(raw, self.settings.imap_authserv_id):
            if name and domain and organization(name) == organization(domain):
                aligned = domain if result == "pass" else own.aligned_domain
                return Verdicts(result, own.dkim, own.dmarc, aligned)
        return own


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
