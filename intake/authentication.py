"""SPF, DKIM and DMARC of a mail, by the libraries for each; DNS is handed in.

What is found is told to the API, which decides (design.md D24).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, Protocol

import dkim
import dns.exception
import dns.name
import dns.resolver
import spf
from authheaders.dmarc_lookup import DMARCException, lookup_receiver_record
from publicsuffix2 import PublicSuffixList

MOST_SIGNATURES: Final = 5
DNS_SECONDS: Final = 5.0
# A whole SPF record, with all that it includes.
SPF_SECONDS: Final = 20


class DnsAway(Exception):
    """Nobody answered: the mail has to come again later."""


class Resolver(Protocol):
    def look_up(self, name: str, kind: str) -> Sequence[Any]:
        """Records as SPF wants them: TXT as tuples of bytes, MX as (preference, name), else text.

        Raises:
            DnsAway: nobody answered.
        """
        ...


class SystemResolver:
    """The machine's own DNS."""

    def look_up(self, name: str, kind: str) -> Sequence[Any]:
        try:
            host = dns.name.from_text(name)
        except dns.exception.DNSException:
            # Senders choose names; one that nobody can have is not one that is not answered now.
            return []
        try:
            found = dns.resolver.resolve(host, kind, lifetime=DNS_SECONDS)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as exc:
            raise DnsAway(str(exc)) from exc
        return [_value(record, kind) for record in found]


def _value(record: Any, kind: str) -> Any:
    if kind in ("TXT", "SPF"):
        return record.strings
    if kind == "MX":
        return (record.preference, record.exchange.to_text(omit_final_dot=True))
    return record.to_text().rstrip(".")


# The words for a verdict that the API takes (RFC 8601).
RESULTS: Final = frozenset(
    {"pass", "fail", "softfail", "neutral", "none", "policy", "temperror", "permerror"}
)


@dataclass(frozen=True)
class Envelope:
    """What is known of how a mail came: by whom it was connected, or what our server noted of it.

    Args:
        peer: an IP address; "" where it is not known.
        noted: SPF's verdict and the domain that it is of, by a server that is believed.
    """

    peer: str = ""
    helo: str = ""
    sender: str = ""
    noted: tuple[str, str] | None = None


@dataclass(frozen=True)
class Verdicts:
    """As `auth` of the intake's body (API-75)."""

    spf: str = "none"
    dkim: str = "none"
    dmarc: str = "none"
    aligned_domain: str | None = None


def authenticate(
    raw: bytes,
    sender: str | None,
    *,
    resolver: Resolver,
    envelope: Envelope,
    headers_only: bool = False,
) -> Verdicts:
    """What can be proven of a mail. It waits for DNS.

    Args:
        headers_only: `raw` ends with the headers, so that only they can be proven by a signature.

    Raises:
        DnsAway: not now.
    """
    spf_result, spf_domain = _spf(envelope, resolver)
    signed = check_dkim(raw, resolver, headers_only=headers_only)
    domain = (sender or "").rpartition("@")[2].lower()
    if not domain:
        return Verdicts(spf_result, "none", "none")
    passed = [name for name, good in signed if good]
    aligned = any(_same(name, domain) for name in passed)
    by_spf = spf_result == "pass" and _same(spf_domain, domain)
    return Verdicts(
        spf=spf_result,
        dkim="pass" if passed else ("fail" if signed else "none"),
        dmarc=_dmarc(domain, spf_result, spf_domain, passed, resolver),
        aligned_domain=domain if aligned or by_spf else None,
    )


def _spf(envelope: Envelope, resolver: Resolver) -> tuple[str, str]:
    """The verdict, and the domain that it is of."""
    if envelope.noted is not None:
        result, domain = envelope.noted
        return result if result in RESULTS else "none", domain
    domain = envelope.sender.rpartition("@")[2].lower() or envelope.helo.lower()
    if not envelope.peer:
        return "none", domain
    return check_spf(envelope.peer, envelope.sender, envelope.helo, resolver), domain


def check_spf(peer: str, envelope_from: str, helo: str, resolver: Resolver) -> str:
    """SPF of the envelope's sender, or of the greeting where that is empty."""
    query = _Query(peer, envelope_from, helo, resolver)
    try:
        return str(query.check()[0])
    except DnsAway:
        raise
    except (ValueError, IndexError, UnicodeError, AttributeError):
        # Hosts and addresses that are none.
        return "permerror"


class _Query(spf.query):  # type: ignore[misc]
    """pyspf with our DNS; its own bounds on lookups stay."""

    def __init__(self, peer: str, sender: str, helo: str, resolver: Resolver) -> None:
        self._resolver = resolver
        super().__init__(peer, sender, helo, querytime=SPF_SECONDS)

    def dns(
        self, name: str, qtype: str, cnames: object = None, ignore_void: bool = False
    ) -> list[Any]:
        del cnames
        labels = str(name).rstrip(".").split(".")
        if not all(0 < len(label) < 64 for label in labels):
            return []
        found = list(self._resolver.look_up(".".join(labels).lower(), qtype))
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError("too many names that do not exist")
        return found


class _OfHeaders(dkim.DKIM):  # type: ignore[misc]
    """Signatures without the hash of a body that is not there; they sign From all the same."""

    def verify_sig(self, sig: dict[bytes, bytes], *more: Any) -> Any:
        bare = {name: value for name, value in sig.items() if name != b"bh"}
        return super().verify_sig(bare, *more)


def check_dkim(
    raw: bytes, resolver: Resolver, *, headers_only: bool = False
) -> list[tuple[str, bool]]:
    """The domain of each signature, and whether it is good."""

    def text(name: bytes, timeout: float = DNS_SECONDS) -> bytes | None:
        del timeout
        found = resolver.look_up(name.decode("ascii", "replace").rstrip("."), "TXT")
        return b"".join(found[0]) if found else None

    results: list[tuple[str, bool]] = []
    for index in range(MOST_SIGNATURES):
        message = _OfHeaders(raw) if headers_only else dkim.DKIM(raw)
        try:
            good = bool(message.verify(idx=index, dnsfunc=text))
        except DnsAway:
            raise
        except Exception:  # noqa: BLE001 - a signature can be wrong in every way
            good = False
        domain = message.signature_fields.get(b"d") if message.signature_fields else None
        if domain is None:
            break
        results.append((domain.decode("ascii", "replace").lower(), good))
    return results


def _dmarc(
    domain: str, spf_result: str, spf_domain: str, signers: Sequence[str], resolver: Resolver
) -> str:
    """Whether what was proven is the From domain's, as strictly as it asks."""

    def text(host: str) -> str | None:
        records = [b"".join(one) for one in resolver.look_up(host, "TXT")]
        policies = [
            one.decode("utf-8", "replace") for one in records if one.startswith(b"v=DMARC1")
        ]
        return policies[0] if len(policies) == 1 else None

    try:
        record = lookup_receiver_record(domain, text) or lookup_receiver_record(
            organization(domain), text
        )
    except (DMARCException, ValueError, IndexError, KeyError, UnicodeError):
        return "permerror"
    if not record or "p" not in record:
        return "none"
    by_spf = spf_result == "pass" and _aligned(spf_domain, domain, record.get("aspf"))
    by_dkim = any(_aligned(signer, domain, record.get("adkim")) for signer in signers)
    return "pass" if by_spf or by_dkim else "fail"


def _aligned(proven: str, domain: str, mode: str | None) -> bool:
    return proven == domain if mode == "s" else _same(proven, domain)


def _same(one: str, other: str) -> bool:
    """Whether two domains are of one organization."""
    return bool(one) and (one == other or organization(one) == organization(other))


@lru_cache(maxsize=4096)
def organization(domain: str) -> str:
    """`example.co.uk` for `mail.example.co.uk`, by the public suffix list."""
    return str(_suffixes().get_public_suffix(domain) or domain)


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    """The list that comes with authheaders; reading it takes a moment."""
    with (files("authheaders") / "public_suffix_list.txt").open(encoding="utf-8") as lines:
        return PublicSuffixList(lines)
