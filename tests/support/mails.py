"""Mails with invites, as programs send them, and a DNS of our own to prove them by."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cache
from typing import Any

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from intake.authentication import DnsAway

BOT = "bot@meetbot.example"


@dataclass
class Names:
    """A DNS: records by (name, kind). `away`: nobody answers."""

    records: Mapping[tuple[str, str], Sequence[Any]] = field(default_factory=dict)
    away: bool = False

    def look_up(self, name: str, kind: str) -> Sequence[Any]:
        if self.away:
            raise DnsAway("away")
        return self.records.get((name, kind), [])


@cache
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def names_of(domain: str = "example.com", *, dmarc: str = "v=DMARC1; p=reject") -> Names:
    """A domain with SPF for 192.0.2.1 and loopback, a DKIM key `k`, and a DMARC policy."""
    public = (
        signing_key()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    key = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    spf = b"v=spf1 ip4:192.0.2.1 ip4:127.0.0.1 -all"
    return Names(
        {
            (domain, "TXT"): [(spf,)],
            (f"k._domainkey.{domain}", "TXT"): [(key[:200], key[200:])],
            (f"_dmarc.{domain}", "TXT"): [(dmarc.encode(),)],
        }
    )


def signed(raw: bytes, domain: str = "example.com") -> bytes:
    """The mail with a DKIM signature of `domain`."""
    private = signing_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    signature: bytes = dkim.sign(
        raw, b"k", domain.encode(), private, include_headers=[b"From", b"Subject"]
    )
    return signature + raw


def mail(
    text: str, *, sender: str = "Ada <ada@example.com>", method: str = "REQUEST", **headers: str
) -> EmailMessage:
    """An invite as most programs send it: text, the calendar beside it, and attached again."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = BOT
    message["Subject"] = "Invitation: Weekly"
    message["Message-ID"] = "<one@example.com>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("You are invited.")
    message.add_alternative(text, subtype="calendar", params={"method": method})
    message.add_attachment(text.encode(), "application", "ics", filename="invite.ics")
    return message
