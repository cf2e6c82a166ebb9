"""What is proven of a sender, by real signatures and a DNS of our own (design.md D24)."""

from __future__ import annotations

import pytest

from intake.authentication import DnsAway, Envelope, SystemResolver, Verdicts, authenticate
from tests.support.invites import calendar, event
from tests.support.mails import Names, mail, names_of, signed

pytestmark = pytest.mark.unit

RAW = mail(calendar(event())).as_bytes().replace(b"\n", b"\r\n")
ADA = "ada@example.com"


def verdicts(
    raw: bytes = RAW,
    *,
    names: Names | None = None,
    peer: str = "203.0.113.9",
    envelope_from: str = ADA,
    sender: str | None = ADA,
) -> Verdicts:
    return authenticate(
        raw,
        sender,
        resolver=names or names_of(),
        envelope=Envelope(peer, "mail.example.com", envelope_from),
    )


def test_a_server_that_spf_names_proves_the_domain() -> None:
    assert verdicts(peer="192.0.2.1") == Verdicts("pass", "none", "pass", "example.com")


def test_a_signature_proves_it_from_anywhere() -> None:
    assert verdicts(signed(RAW)) == Verdicts("fail", "pass", "pass", "example.com")


def test_a_signature_over_another_text_proves_nothing() -> None:
    changed = signed(RAW).replace(b"You are invited", b"You are uninvited")
    assert verdicts(changed) == Verdicts("fail", "fail", "fail", None)


def test_what_another_domain_proves_is_not_the_senders() -> None:
    """Spoofing: good SPF and DKIM of evil.example, From of ours."""
    names = Names({**names_of("evil.example").records, **names_of().records})
    found = verdicts(
        signed(RAW, "evil.example"), names=names, peer="192.0.2.1", envelope_from="x@evil.example"
    )
    assert found == Verdicts("pass", "pass", "fail", None)


def test_a_subdomain_of_the_same_organization_proves_it_unless_its_policy_is_strict() -> None:
    for policy, dmarc in (("v=DMARC1; p=none", "pass"), ("v=DMARC1; p=none; adkim=s", "fail")):
        own = names_of(dmarc=policy).records
        names = Names({**names_of("mail.example.com").records, **own})
        found = verdicts(signed(RAW, "mail.example.com"), names=names)
        assert (found.dmarc, found.aligned_domain) == (dmarc, "example.com")


def test_nothing_published_proves_nothing() -> None:
    assert verdicts(names=Names()) == Verdicts("none", "none", "none", None)
    assert verdicts(sender=None).aligned_domain is None


def test_dns_that_is_away_is_no_verdict() -> None:
    with pytest.raises(DnsAway):
        verdicts(signed(RAW), names=Names(away=True))


@pytest.mark.parametrize(
    "envelope_from", ["", "no address", "a@" + "x" * 300, "a@..", "ä@ö.example"]
)
def test_envelopes_of_all_kinds_are_judged(envelope_from: str) -> None:
    assert verdicts(envelope_from=envelope_from).spf in {"none", "permerror", "fail", "temperror"}


def test_an_spf_record_that_asks_for_ever_more_ends() -> None:
    records = {
        (f"n{i}.example.com", "TXT"): [(f"v=spf1 include:n{i + 1}.example.com -all".encode(),)]
        for i in range(50)
    }
    names = Names({**records, ("example.com", "TXT"): [(b"v=spf1 include:n0.example.com -all",)]})
    assert verdicts(names=names).spf == "permerror"


@pytest.mark.parametrize(
    "name", ["a..example", "x" * 70 + ".example", "a." * 200, "\ufffd.example"]
)
def test_a_name_that_nobody_can_have_is_not_waited_for(name: str) -> None:
    """A sender who writes one into From would have the mailbox wait for DNS for ever."""
    assert SystemResolver().look_up(name, "TXT") == []


def test_headers_are_proven_without_their_body_and_nothing_else_is() -> None:
    head = signed(RAW).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def judged(text: bytes) -> Verdicts:
        return authenticate(text, ADA, resolver=names_of(), envelope=Envelope(), headers_only=True)

    assert judged(head) == Verdicts("none", "pass", "pass", "example.com")
    assert judged(head.replace(b"Subject: Inv", b"Subject: Exv")).aligned_domain is None
    assert judged(head.replace(b"bh=", b"xh=")).aligned_domain is None


def test_a_note_of_spf_counts_for_dmarc_too() -> None:
    """Otherwise a domain with a policy and without DKIM could never be proven by it."""
    for noted, found in (
        (("pass", "example.com"), Verdicts("pass", "none", "pass", "example.com")),
        (("pass", "evil.example"), Verdicts("pass", "none", "fail", None)),
        (("softfail", "example.com"), Verdicts("softfail", "none", "fail", None)),
        (("bestguesspass", "example.com"), Verdicts("none", "none", "fail", None)),
    ):
        envelope = Envelope(noted=noted)
        assert authenticate(RAW, ADA, resolver=names_of(), envelope=envelope) == found
